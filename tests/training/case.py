"""One row of the table: how a module of torch.nn is built, and what it is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Case", "classes", "ints", "lengths", "rand", "randn", "signs"]


@dataclass(frozen=True)
class Case:
    """A module and its input.

    Args:
        cls: the class of torch.nn that the row stands for.
        args: what it is built with, by position.
        inputs: makes what ``forward`` takes by position; tensors that require grad get a gradient. It may
            draw random numbers: the caller sets the seed.
        kwargs: what it is built with, by name.
        note: tells several rows of one class apart.
        named: makes what ``forward`` takes by name.
        build: builds the module, where constants do not suffice.
        mode: False for a module in evaluation mode.
    """

    cls: type[nn.Module]
    args: tuple[Any, ...]
    inputs: Callable[[], tuple[Any, ...]]
    kwargs: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    named: Callable[[], dict[str, Any]] = dict
    build: Callable[..., nn.Module] | None = None
    mode: bool = True

    @property
    def factory(self) -> Callable[..., nn.Module]:
        """What the module is built by."""
        return self.build or self.cls

    @property
    def id(self) -> str:
        """Its name among the tests."""
        told = [f"{k}={v}" for k, v in self.kwargs.items() if isinstance(v, (bool, int, str))]
        return "-".join([self.cls.__name__, *([self.note] if self.note else told)])


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers, with a gradient."""
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def rand(*shape: int) -> Tensor:
    """Numbers between 0 and 1, with a gradient."""
    return torch.rand(shape, requires_grad=True)


def classes(count: int, *shape: int) -> Tensor:
    """Random numbers of classes."""
    return torch.randint(count, shape)


def signs(*shape: int) -> Tensor:
    """Random 1 and -1, as the losses for pairs take them."""
    return torch.randint(2, shape) * 2.0 - 1


def ints(*values: int) -> Tensor:
    """The given whole numbers."""
    return torch.tensor(values)


def lengths(*values: int) -> tuple[int, ...]:
    """The given lengths, as :class:`nn.CTCLoss` takes them by value."""
    return values
