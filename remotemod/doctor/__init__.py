"""What ``remotemod doctor`` finds out: versions, what of torch is there, and whether each backend really works."""
