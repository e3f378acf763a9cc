"""The modules that the measurements call and build on workers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Echo", "EchoInterface", "small"]


@torch.jit.interface
class EchoInterface(nn.Module):
    """What can be called from TorchScript, which wants an empty body."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[empty-body]
        """Give back what it gets."""
        pass  # noqa: PIE790


class Echo(nn.Module):
    """A module that costs nothing, so that what is measured is the way to it."""

    def forward(self, x: Tensor) -> Tensor:
        """Give back what it gets."""
        return x


def small() -> nn.Module:
    """A module of 72 parameters; making it takes tens of microseconds."""
    return nn.Linear(8, 8)
