"""Read interfaces from source text; nothing of it is run."""
