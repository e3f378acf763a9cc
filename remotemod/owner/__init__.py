"""What a worker does: keeps modules and values for others, and runs what they ask for."""
