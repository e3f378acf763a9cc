"""Moves between devices, as generated stubs call them for values whose type says too little."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from remotemod.trees.walk import map_tensors

__all__ = ["move", "move_to_caller", "to_caller"]

T = TypeVar("T")


def to_caller(tensor: Tensor) -> Tensor:
    """The tensor as it goes back: on the CPU; a meta tensor has no data to move and stays."""
    return tensor if tensor.is_meta else tensor.cpu()


def move(value: T, device: str | torch.device) -> T:
    """``value`` with every tensor in it on ``device``.

    What is entered, and keeps its type, is what gradients follow too: containers, objects with attributes, closures.
    Containers in which nothing moves are returned themselves.

    Args:
        value: any value; it stays as it is.
        device: where tensors go; those already there are not copied.
    """
    target = torch.device(device)
    return map_tensors(value, lambda tensor: _alike(tensor, tensor.to(target)))  # type: ignore[no-any-return]


def move_to_caller(value: T) -> T:
    """``value`` with every tensor in it as :func:`to_caller` sends it back."""
    return map_tensors(value, lambda tensor: _alike(tensor, to_caller(tensor)))  # type: ignore[no-any-return]


def _alike(tensor: Tensor, moved: Tensor) -> Tensor:
    """A parameter stays one, unless its graph goes on through the move."""
    if type(tensor) is not nn.Parameter or moved is tensor or moved.grad_fn is not None:
        return moved
    return nn.Parameter(moved, tensor.requires_grad)
