"""The actor that runs in each process of a Monarch mesh."""

from __future__ import annotations

import os

from monarch.actor import Actor, endpoint
from torch import Tensor

from remotemod.bench.modules import Echo, small

__all__ = ["Worker"]


class Worker(Actor):  # type: ignore[misc]  # monarch is not there when types are checked
    """An echoing module and those that were created beside it."""

    def __init__(self) -> None:
        self._echo = Echo()
        self._kept: list[object] = []

    @endpoint  # type: ignore[untyped-decorator]
    def echo(self, x: Tensor) -> Tensor:
        """Call the module."""
        result: Tensor = self._echo(x)
        return result

    @endpoint  # type: ignore[untyped-decorator]
    def create(self) -> int:
        """Build a module and keep it."""
        self._kept.append(small())
        return len(self._kept)

    @endpoint  # type: ignore[untyped-decorator]
    def pid(self) -> int:
        """The process it runs in."""
        return os.getpid()
