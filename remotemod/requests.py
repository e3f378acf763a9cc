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

    ``injected`` holds the objects that the text cannot import (classes in functions or in ``__main__``).
    ``extension`` is the engine's addition for the owner; only the engine reads it.
    """

    digest: str
    text: str
    injected: dict[str, object]
    extension: Any = None


class Build(NamedTuple):
    """Build a module and keep it; the reply is :class:`Built`.

    ``device`` is the device to move it to; None leaves it where it is. ``stub`` is the digest of the stub that will
    be called on it and ``load`` the stub itself, if the owner does not have it yet. Without a stub the
    reply describes the module's interface (that of a factory's module is not known beforehand), unless its digest
    is ``known``. ``expected`` is ``(module, qualname, digest)`` of the class that a stub was generated from: another
    interface on the owner means that one side is out of date.
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
    """The reply to a :class:`Build`.

    Attributes:
        ref: the reference, as the backend has it.
        kind: the dotted name of the module's class.
        device: where its first parameter or buffer is; None without any.
        interface: its interface, if that was requested.
        extension: the owner's addition to the reference; only the engine reads it.
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
    """Release one handle on each of these kept objects. There is no reply."""

    refs: list[int]


class Retain(NamedTuple):
    """Keep an object for a third party that will :class:`Adopt` it with the same token."""

    ref: int
    token: str


class Adopt(NamedTuple):
    """Take over an object that was retained for the sender of this. There is no reply."""

    ref: int
    token: str


class Differentiate(NamedTuple):
    """Run a kept graph backwards; the reply is the gradients of its inputs.

    ``graph`` is its number, ``grads`` has the gradient of each output (None where there is none), and ``how`` the
    fields of a :class:`remotemod.autograd.owner.Pass`. A pass that need not keep its graph releases it too.
    """

    graph: int
    grads: list[Any]
    how: tuple[bool, ...]


class ExtendPath(NamedTuple):
    """Import from these paths too; ``first`` puts them before the present ones.

    Decoding later requests may need them.
    """

    entries: list[str]
    first: bool


Request = Load | Build | Call | Invoke | Release | Retain | Adopt | Differentiate | ExtendPath


class Reply(NamedTuple):
    """The result of a request.

    Attributes:
        value: the result.
        graph: the number of the graph that the worker keeps of it; 0 without one.
    """

    value: Any
    graph: int = 0
