"""Worker processes on this machine, forked from one that has loaded torch."""
