"""Modules and functions that the tests of training run on workers."""

from __future__ import annotations

import os
import time
from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.owner.owner import current_owner


class _Awkward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, how: str) -> Tensor:
        ctx.how = how
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        if ctx.how == "raise":
            raise ValueError("no gradient today")
        if ctx.how == "sleep":
            time.sleep(1.0)
        if ctx.how == "die":
            os._exit(3)
        return grads[0] * 2, None


class Awkward(nn.Module):
    """Its backward does what it is told to."""

    def forward(self, x: Tensor, how: str) -> Tensor:
        return _Awkward.apply(x, how)


class InPlace(nn.Module):
    """Changes its argument."""

    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1).square()


class Table(nn.Module):
    """Large enough to see its graphs in a process's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64, 64))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.weight).relu().exp()


_HELD: list[Any] = []


def hold_forward(module: nn.Module) -> None:
    """Calls a remote module and keeps the result, and with it the graph."""
    _HELD.append(module(torch.ones(3, requires_grad=True)))


def kept() -> int:
    """How many objects the owner keeps."""
    owner = current_owner()
    assert owner is not None
    return len(owner._kept)


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def change_weight(ref: rm.RemoteRef[nn.Module]) -> None:
    """Changes a parameter in place, as an optimizer does."""
    with torch.no_grad():
        for parameter in ref.local_value().parameters():
            parameter.mul_(2)
