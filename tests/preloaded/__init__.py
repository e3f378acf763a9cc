"""Python programs that start in milliseconds: forked from one process that has loaded torch and done nothing else.

A test uses ``programs.run`` and ``programs.Program`` where it needs another process, and ``subprocess`` where what
it proves is how Python, a program or the product start.
"""
