"""A code-generating remote-module compiler for PyTorch."""
