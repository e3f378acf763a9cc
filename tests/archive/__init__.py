"""Archives of models with remote parts."""
