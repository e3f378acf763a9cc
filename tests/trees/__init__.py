"""The tensors of a value."""
