"""What a peer is: a way to start workers, and the ways to call modules on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Opened", "Peer", "Way", "missing"]


@dataclass(frozen=True)
class Way:
    """What one way can do; None where it cannot.

    Args:
        call: has a module on the worker give a tensor back, and blocks until it is there.
        submit: the same without blocking; gives the function that waits for the answer.
        create: has one small module built on the worker; it lives as long as what is returned.
        exists: returns when what ``create`` gave is there; None where ``create`` itself waits for that.
    """

    call: Callable[[str, Tensor], object] | None = None
    submit: Callable[[str, Tensor], Callable[[], object]] | None = None
    create: Callable[[str], object] | None = None
    exists: Callable[[Any], object] | None = None


@dataclass(frozen=True)
class Opened:
    """Workers that have answered once.

    Args:
        ways: puts an echoing module on each worker and gives the ways to call it, by name.
        pids: the workers' process ids, by name; empty where workers are not processes.
    """

    ways: Callable[[], Mapping[str, Way]]
    pids: Callable[[], Mapping[str, int]] = dict


class Peer(Protocol):
    """One of the things that are compared. It lives in a process of its own, the caller's.

    Inherit from it for what has a default.

    Attributes:
        launches: whether opening it starts worker processes.
        relaunches: whether it can be opened again while it is open.
    """

    launches: bool = False
    relaunches: bool = False

    def available(self) -> str | None:
        """None if it can run here; else why not, and what to install."""
        return None

    def prepare(self) -> None:
        """Import what its users import, so that launching is timed without that."""
        import torch  # noqa: F401

    def open(self, workers: Sequence[str]) -> AbstractContextManager[Opened]:
        """Start workers and wait until each has answered; end them, and all that was started, on exit."""


def missing(distribution: str, install: str) -> str | None:
    """Why a peer of an installable distribution is not available."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return f"{distribution} is not installed; pip install {install}"
    return None
