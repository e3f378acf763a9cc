import torch
from torch import Tensor, nn


@torch.jit.interface
class Plain(nn.Module):
    """A single tensor in and out."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``x``."""
        pass


@torch.jit.interface
class Nothing(nn.Module):
    def forward(self) -> None:
        pass
