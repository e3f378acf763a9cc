"""Gradients across processes: a remote call as one node of the caller's graph."""
