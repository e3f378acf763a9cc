"""One optimizer over parameters that live anywhere: a real one on each owner, asked all at once."""
