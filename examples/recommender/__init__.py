"""Recommends modules to import to Python files, with embedding tables on parameter servers."""
