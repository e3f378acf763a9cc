"""Read a module's interface into one frozen model, from source or from live objects."""
