"""What a user holds: the handle on a remote module, and the calls that it makes."""
