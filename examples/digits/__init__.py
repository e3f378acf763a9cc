"""Handwritten digits, classified by a model whose backbone runs in another process."""
