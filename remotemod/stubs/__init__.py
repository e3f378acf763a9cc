"""Renders, checks, writes and loads stubs: the back end of the compiler."""
