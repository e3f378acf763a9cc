"""The modules that the measurements call and build on workers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Echo", "EchoInterface", "big", "scripted_echo", "small", "tower"]


@torch.jit.interface
class EchoInterface(nn.Module):
    """What can be called from TorchScript, which wants an empty body."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[empty-body]
        """Gives back what it gets."""
        pass  # noqa: PIE790


class Echo(nn.Module):
    """A module that costs nothing, so that what is measured is the way to it."""

    def forward(self, x: Tensor) -> Tensor:
        """Gives back what it gets."""
        return x


def scripted_echo() -> nn.Module:
    """The same as a scripted module, for callers that ask for one."""
    module: nn.Module = torch.jit.script(Echo())
    return module


def small() -> nn.Module:
    """A module of 72 parameters; making it takes tens of microseconds."""
    return nn.Linear(8, 8)


def big() -> nn.Module:
    """A module of 64 MB."""
    return nn.Linear(4096, 4096, bias=False)


def tower(width: int, depth: int) -> nn.Module:
    """Layers to train, the same ones each time."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.Tanh()))
    )
