"""The modules that these benchmarks build on workers, beside those of ``remotemod bench``."""

from __future__ import annotations

import torch
from torch import nn

from remotemod.bench.modules import Echo

__all__ = ["big", "scripted_echo", "tower"]


def scripted_echo() -> nn.Module:
    """An echoing module, scripted, for callers that ask for one."""
    module: nn.Module = torch.jit.script(Echo())
    return module


def big() -> nn.Module:
    """A module of 64 MB."""
    return nn.Linear(4096, 4096, bias=False)


def tower(width: int, depth: int) -> nn.Module:
    """Layers to train, the same ones each time."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.Tanh()))
    )
