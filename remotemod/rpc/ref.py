"""References to values that live on a worker: counted, and shareable between workers."""

from __future__ import annotations

import weakref
from abc import ABCMeta
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from remotemod.autograd.caller import submit
from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.requests import Invoke
from remotemod.rpc.cluster import Cluster

__all__ = ["Keeper", "RemoteRef", "type_name"]

T = TypeVar("T")


class Keeper(Protocol):
    """The owner, to a reference in the same process."""

    name: str
    reachable: bool

    def value(self, ref: Any) -> Any:
        """The value of a number."""

    def retain(self, ref: int) -> None:
        """Add a handle."""

    def retain_for_token(self, ref: int, token: str) -> None:
        """Add a handle, for the process that adopts it with the token."""

    def release(self, ref: int) -> None:
        """Remove a handle."""

    def submit_locally(self, request: Invoke) -> Future[Any]:
        """Run a request at once and return its finished future."""


class RemoteRef(Generic[T], metaclass=ABCMeta):
    """A counted reference to a value on its owner; what torch calls an RRef.

    Made by remotemod (``rm.remote``, ``RemoteModule.module_rref``, ``remote_parameters``), not by hand.
    Handles may be passed to any worker; the owner releases the value with the last of them.
    """

    # ``number``, ``cluster`` and ``keeper`` are for engines: the owner's number for the value, the cluster that reaches
    # the owner, and the owner itself where it is in this process.
    __slots__ = ("__weakref__", "_finalizer", "_owner", "_type", "cluster", "keeper", "number")

    def __init__(self, owner: str, number: int, kind: str, cluster: Cluster | None) -> None:
        self._owner = owner
        self._type = kind
        self.number = number
        self.cluster = cluster
        self.keeper: Keeper | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        if cluster is not None:
            self._release_by(cluster.release, owner, number)

    @classmethod
    def on_owner(
        cls,
        keeper: Keeper,
        number: int,
        value: object,
        release: Callable[[int], object] | None = None,
    ) -> RemoteRef[Any]:
        """A handle in the owner's own process.

        Args:
            keeper: the owner.
            number: its number for the value.
            value: the value.
            release: releases the handle; by default through the owner.
        """
        self = cls(keeper.name, number, type_name(value), None)
        self.keeper = keeper
        self._release_by(release or keeper.release, number)
        return self

    def _release_by(self, release: Callable[..., object], *args: Any) -> None:
        self._finalizer = weakref.finalize(self, release, *args)
        self._finalizer.atexit = False

    def owner_name(self) -> str:
        """The name of the worker that holds the value."""
        return self._owner

    def is_owner(self) -> bool:
        """Whether this process holds the value."""
        return self.keeper is not None

    def type_name(self) -> str:
        """The dotted name of the value's class."""
        return self._type

    def local_value(self) -> T:
        """The value itself, on its owner.

        Raises:
            RemoteModError: this process is not the owner.
        """
        if self.keeper is None:
            raise RemoteModError(
                f"local_value() works on the owner '{self._owner}' alone; "
                "here, use to_here() for a copy or rpc_sync() to call a method there"
            )
        return self.keeper.value(self.number)  # type: ignore[no-any-return]

    def is_gone(self) -> None:
        """Note that the owner has released the value by itself: this handle has nothing to release."""
        if self._finalizer is not None:
            self._finalizer.detach()

    def to_here(self, timeout: float | None = None) -> T:
        """A copy of the value (the value itself on the owner).

        Args:
            timeout: seconds; None for the cluster's timeout, ``math.inf`` for none.
        """
        if self.keeper is not None:
            return self.local_value()
        value: T = self._invoke(fetch, (self,), {}, timeout).wait()
        return value

    def rpc_sync(self, timeout: float | None = None) -> Any:
        """A proxy: ``ref.rpc_sync().m(…)`` runs ``m`` of the value on the owner and returns its result."""
        return _Proxy(self, "sync", timeout)

    def rpc_async(self, timeout: float | None = None) -> Any:
        """A proxy like :meth:`rpc_sync` whose methods return futures."""
        return _Proxy(self, "async", timeout)

    def remote(self, timeout: float | None = None) -> Any:
        """A proxy like :meth:`rpc_sync` whose methods leave the result on the owner and return a reference."""
        return _Proxy(self, "remote", timeout)

    def _invoke(
        self, function: Any, args: Any, kwargs: Any, timeout: float | None, keep: bool = False
    ) -> Future[Any]:
        request = Invoke(function, args, kwargs, keep)
        if self.keeper is not None:
            return self.keeper.submit_locally(request)
        assert self.cluster is not None
        return submit(self.cluster, self._owner, request, timeout)

    def __repr__(self) -> str:
        return f"<remotemod.RemoteRef to a {self._type} on '{self._owner}'>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a RemoteRef cannot be pickled: its owner counts its handles; "
            "pass it as an argument of a remote call instead"
        )


class _Proxy:
    """The methods of a referenced value, run on its owner."""

    __slots__ = ("_mode", "_ref", "_timeout")

    def __init__(self, ref: RemoteRef[Any], mode: str, timeout: float | None) -> None:
        self._ref = ref
        self._mode = mode
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        ref, mode, timeout = self._ref, self._mode, self._timeout

        def method(*args: Any, **kwargs: Any) -> Any:
            future = ref._invoke(
                run_method, (ref, name, args, kwargs), {}, timeout, mode == "remote"
            )
            return future if mode == "async" else future.wait()

        method.__name__ = name
        return method


def fetch(ref: RemoteRef[T]) -> T:
    """The value; runs on the owner."""
    return ref.local_value()


def run_method(ref: RemoteRef[Any], name: str, args: Any, kwargs: Any) -> Any:
    """The result of one of the value's methods; runs on the owner."""
    return getattr(ref.local_value(), name)(*args, **kwargs)


def type_name(value: object) -> str:
    """The dotted name of a value's class, builtins without their module."""
    cls = type(value)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )
