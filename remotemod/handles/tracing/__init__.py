"""Remote calls as torch.compile and torch.export see them; imported where somebody traces."""
