"""What a worker tells those who connect: which workers there are, and of which version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from remotemod.version import VERSION

__all__ = ["About", "about", "remember"]


class About(NamedTuple):
    """A worker's cluster.

    Attributes:
        workers: their names, by rank.
        version: the version of remotemod that they run.
    """

    workers: tuple[str, ...]
    version: str


_OWN: list[About] = []


def remember(workers: Sequence[str]) -> None:
    """On a worker: the cluster that it belongs to."""
    _OWN[:] = [About(tuple(workers), VERSION)]


def about() -> About:
    """On a worker: what those are told who connect."""
    return _OWN[0]
