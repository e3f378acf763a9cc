"""References to values that live on a worker: counted, and shareable between workers."""

from __future__ import annotations

import weakref
from abc import ABCMeta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from remotemod.autograd.caller import submit
from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.requests import Invoke

if TYPE_CHECKING:
    from remotemod.owner.owner import Owner
    from remotemod.rpc.cluster import Cluster

__all__ = ["RemoteRef", "type_name"]

T = TypeVar("T")


class RemoteRef(Generic[T], metaclass=ABCMeta):
    """A counted reference to a value on its owner; what torch calls an RRef.

    Made by remotemod (``rm.remote``, ``RemoteModule.module_rref``, ``remote_parameters``), not by hand.
    Handles may be passed to any worker; the owner lets the value go with the last of them.
    """

    __slots__ = ("__weakref__", "_cluster", "_finalizer", "_id", "_local", "_owner", "_type")

    def __init__(self, owner: str, ref: int, kind: str, cluster: Cluster | None) -> None:
        self._owner = owner
        self._id = ref
        self._type = kind
        self._cluster = cluster
        self._local: Owner | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        if cluster is not None:
            self._finalizer = weakref.finalize(self, cluster.release, owner, ref)
            self._finalizer.atexit = False

    @classmethod
    def on_owner(cls, owner: Owner, ref: int, value: object) -> RemoteRef[Any]:
        """A handle in the owner's own process."""
        self = cls(owner.name, ref, type_name(value), None)
        self._local = owner
        self._finalizer = weakref.finalize(self, owner.release, ref)
        self._finalizer.atexit = False
        return self

    def owner_name(self) -> str:
        """The name of the worker that holds the value."""
        return self._owner

    def is_owner(self) -> bool:
        """Whether this process holds the value."""
        return self._local is not None

    def type_name(self) -> str:
        """The dotted name of the value's class."""
        return self._type

    def local_value(self) -> T:
        """The value itself, on its owner.

        Raises:
            RemoteModError: this process is not the owner.
        """
        if self._local is None:
            raise RemoteModError(
                f"local_value() works on the owner '{self._owner}' alone; "
                "here, use to_here() for a copy or rpc_sync() to call a method there"
            )
        return self._local.value(self._id)  # type: ignore[no-any-return]

    def is_gone(self) -> None:
        """The owner has let the value go by itself: there is nothing to release."""
        if self._finalizer is not None:
            self._finalizer.detach()

    def to_here(self, timeout: float | None = None) -> T:
        """A copy of the value (the value itself on the owner).

        Args:
            timeout: seconds; None for the cluster's own bound, ``math.inf`` for none.
        """
        if self._local is not None:
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
        """A proxy like :meth:`rpc_sync` whose methods leave the result there and return a reference."""
        return _Proxy(self, "remote", timeout)

    def _invoke(
        self, function: Any, args: Any, kwargs: Any, timeout: float | None, keep: bool = False
    ) -> Future[Any]:
        request = Invoke(function, args, kwargs, keep)
        if self._local is not None:
            return self._local.submit_locally(request)
        assert self._cluster is not None
        return submit(self._cluster, self._owner, request, timeout)

    def __repr__(self) -> str:
        return f"<remotemod.RemoteRef to a {self._type} on '{self._owner}'>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a RemoteRef cannot be pickled: its owner counts its handles; "
            "pass it as an argument of a remote call instead"
        )


class _Proxy:
    """Runs methods of a referenced value."""

    __slots__ = ("_how", "_ref", "_timeout")

    def __init__(self, ref: RemoteRef[Any], how: str, timeout: float | None) -> None:
        self._ref = ref
        self._how = how
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        ref, how, timeout = self._ref, self._how, self._timeout

        def method(*args: Any, **kwargs: Any) -> Any:
            future = ref._invoke(
                run_method, (ref, name, args, kwargs), {}, timeout, how == "remote"
            )
            return future if how == "async" else future.wait()

        method.__name__ = name
        return method


def fetch(ref: RemoteRef[T]) -> T:
    """On the owner: the value."""
    return ref.local_value()


def run_method(ref: RemoteRef[Any], name: str, args: Any, kwargs: Any) -> Any:
    """On the owner: the result of one of the value's methods."""
    return getattr(ref.local_value(), name)(*args, **kwargs)


def type_name(value: object) -> str:
    """The dotted name of a value's class, builtins without their module."""
    cls = type(value)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )
