"""Functions that the contract's tests run on workers, and comparisons of their results."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm

__all__ = [
    "Tracked",
    "TrackedModule",
    "again",
    "alive",
    "apply",
    "assert_same",
    "eventually",
    "is_training",
    "meet",
    "not_a_module",
    "total",
]

_ALIVE: list[int] = [0]


class Tracked:
    """An object that counts the instances in this process."""

    def __init__(self, name: str) -> None:
        _ALIVE[0] += 1
        self._name = name

    def __del__(self) -> None:
        _ALIVE[0] -= 1

    def name(self) -> str:
        """The name it was given."""
        return self._name


class TrackedModule(nn.Module):
    """A module that counts its instances."""

    def __init__(self) -> None:
        super().__init__()
        self.tracked = Tracked("module")

    def forward(self) -> None:
        """Do nothing."""


def not_a_module() -> Any:
    """A value that a factory must not return."""
    return {}


def alive() -> int:
    """How many tracked objects this process has."""
    gc.collect()
    return _ALIVE[0]


def again(ref: rm.RemoteRef[Any]) -> rm.RemoteRef[Any]:
    """Another handle on the value of a reference."""
    return ref


def total(ref: rm.RemoteRef[Tensor]) -> Tensor:
    """The sum of a reference's tensor."""
    return ref.to_here().sum()


def apply(module: nn.Module, x: Tensor) -> Tensor:
    """Call a module that was passed along."""
    result: Tensor = module(x)
    return result


def is_training(ref: rm.RemoteRef[nn.Module]) -> bool:
    """The mode of a module on its owner."""
    return ref.local_value().training


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether the condition comes true within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def meet(own: str, other: str) -> bool:
    """Create a file, and return whether the other worker creates its own in time."""
    Path(own).touch()
    return eventually(Path(other).exists)


def assert_same(found: Any, expected: Any) -> None:
    """Equal types, structures and bits."""
    assert type(found) is type(expected)
    if isinstance(expected, Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected
