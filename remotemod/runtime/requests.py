"""What can be asked of an owner: the whole vocabulary between callers and workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Adopt", "Build", "Call", "Invoke", "Load", "Release", "Request", "Retain"]


class Load(NamedTuple):
    """Load a stub's text, so that calls can name it by its digest.

    ``bound`` holds the objects that the text cannot import (classes in functions or in ``__main__``).
    """

    digest: str
    text: str
    bound: dict[str, object]


class Build(NamedTuple):
    """Build a module and keep it; answers ``(reference, interface or None)``.

    ``describe`` asks for the interface of what was built (factories do not tell it beforehand).
    ``expected`` is ``(module, qualname, digest)`` of the class that a stub was generated from: another
    interface there means that one side is out of date.
    """

    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    device: str
    describe: bool = False
    expected: tuple[str, str, str] | None = None


class Call(NamedTuple):
    """Run a generated ``_remote_<method>`` on a kept module."""

    ref: int
    stub: str
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    device: str
    grad: bool


class Invoke(NamedTuple):
    """Run a function; with ``keep`` its result stays on the owner and a reference comes back."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never written to
    keep: bool = False


class Release(NamedTuple):
    """One handle less on each of these kept objects. Nothing answers."""

    refs: list[int]


class Retain(NamedTuple):
    """Keep an object for a third party that will :class:`Adopt` it with the same token."""

    ref: int
    token: str


class Adopt(NamedTuple):
    """Take over what somebody retained for the sender of this. Nothing answers."""

    ref: int
    token: str


Request = Load | Build | Call | Invoke | Release | Retain | Adopt
