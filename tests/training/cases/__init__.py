"""What every module of torch.nn is built with and called with, one file for each family."""
