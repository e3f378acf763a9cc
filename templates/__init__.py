"""The jinja templates of the stubs; a package so that both kinds of install find them."""
