"""Models with remote parts in files: saved with all that another process needs to call the parts."""
