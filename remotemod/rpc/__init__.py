"""Workers, and how a request reaches one: the seam between the runtime and the engines."""
