"""Requests and replies: the whole vocabulary between callers and workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "Adopt",
    "Build",
    "Built",
    "Call",
    "Differentiate",
    "ExtendPath",
    "Invoke",
    "Load",
    "Release",
    "Reply",
    "Request",
    "Retain",
]


class Load(NamedTuple):
    """Load a stub's text, so that calls can name it by its digest.

    ``bound`` holds the objects that the text cannot import (classes in functions or in ``__main__``).
    ``extension`` is what the engine adds for the owner; only the engine reads it.
    """

    digest: str
    text: str
    bound: dict[str, object]
    extension: Any = None


class Build(NamedTuple):
    """Build a module and keep it; answers :class:`Built`.

    ``device`` is where it goes; None leaves it where it is. ``stub`` is the digest of the stub that will
    be called on it and ``load`` the stub itself, if the owner has not been sent it yet. Without a stub the
    answer describes the interface of what was built (factories do not tell it beforehand), unless that is
    the one with the digest ``known``. ``expected`` is ``(module, qualname, digest)`` of the class that a stub was generated from: another
    interface there means that one side is out of date.
    """

    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    device: str | None
    stub: str | None = None
    load: Load | None = None
    expected: tuple[str, str, str] | None = None
    known: str | None = None


class Built(NamedTuple):
    """What came of a :class:`Build`.

    Attributes:
        ref: the reference, as the backend has it.
        kind: the dotted name of the module's class.
        device: where its first parameter or buffer is; None without any.
        interface: what it can do, where that was asked for.
        extension: what the engine's owner says of the reference; only the engine reads it.
    """

    ref: Any
    kind: str
    device: str | None
    interface: Any = None
    extension: Any = None


class Call(NamedTuple):
    """Run a generated ``_remote_<method>`` on a kept module.

    ``ref`` is the reference's key (see ``Engine.key``); ``graph_mode`` is a
    :class:`remotemod.autograd.tensors.GraphMode`, as a number.
    """

    ref: Any
    stub: str
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    device: str
    is_device_map_set: bool
    graph_mode: int


class Invoke(NamedTuple):
    """Run a function; with ``keep`` its result stays on the owner and a reference comes back.

    ``graph_mode`` is as a :class:`Call` has it; the owner's own functions are part of no graph of the caller's.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never written to
    keep: bool = False
    graph_mode: int = 1


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


class Differentiate(NamedTuple):
    """Run a kept graph backwards; answers the gradients of its inputs.

    ``graph`` is its number, ``grads`` has the gradient of each output (None where there is none), and ``how`` the
    fields of a :class:`remotemod.autograd.owner.Pass`. A pass that need not keep its graph releases it too.
    """

    graph: int
    grads: list[Any]
    how: tuple[bool, ...]


class ExtendPath(NamedTuple):
    """Import from these places too; ``first`` puts them before those that are known already.

    What is asked afterwards may need them to be read at all.
    """

    entries: list[str]
    first: bool


Request = Load | Build | Call | Invoke | Release | Retain | Adopt | Differentiate | ExtendPath


class Reply(NamedTuple):
    """What a request gave.

    Attributes:
        value: the result.
        graph: the number of the graph that the worker keeps of it; 0 without one.
    """

    value: Any
    graph: int = 0
