"""Examination of an installation: versions, private names of torch, and a live try of each backend."""
