"""Python files are recommended modules to import, by embedding tables that live on parameter servers."""
