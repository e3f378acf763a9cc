"""What callers and workers tell each other before anything else: where to import from, and which workers there are."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from remotemod.requests import Invoke, Request
from remotemod.version import VERSION

__all__ = ["About", "about", "extend_path", "is_about_imports", "remember"]


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


def extend_path(entries: Sequence[str], first: bool) -> None:
    """On a worker: imports from these places too.

    Args:
        entries: absolute paths.
        first: whether they come before those that are known.
    """
    missing = [entry for entry in entries if entry not in sys.path]
    place = 0 if first else len(sys.path)
    sys.path[place:place] = missing
    importlib.invalidate_caches()


def is_about_imports(request: Request) -> bool:
    """Whether later requests may be readable only once this one was carried out."""
    return isinstance(request, Invoke) and request.function is extend_path
