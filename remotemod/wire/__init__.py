"""Values as a small header and raw tensor frames."""
