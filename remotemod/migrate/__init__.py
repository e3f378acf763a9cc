"""Move source code from torch's RemoteModule to ours, without running any of it."""
