"""Functions on a worker: the calls that torch names ``rpc_sync``, ``rpc_async`` and ``remote``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from remotemod.autograd.caller import submit
from remotemod.future import Future
from remotemod.requests import Invoke
from remotemod.rpc.current import find_cluster
from remotemod.rpc.ref import RemoteRef

__all__ = ["remote", "rpc_async", "rpc_sync"]

T = TypeVar("T")


def rpc_sync(
    to: str | int,
    func: Callable[..., T],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> T:
    """Run ``func(*args, **kwargs)`` on a worker of the current cluster and return its result.

    Args:
        to: the worker's name or rank.
        func: a Python function, a torch builtin such as ``torch.add``, or a scripted function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        timeout: seconds; None for the cluster's timeout, ``math.inf`` for none.

    Raises:
        RemoteError: ``func`` raised; the exception is of the remote type too.
        PlacementError: there is no such worker.
    """
    return rpc_async(to, func, args, kwargs, timeout).wait()


def rpc_async(
    to: str | int,
    func: Callable[..., T],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> Future[T]:
    """Like :func:`rpc_sync`, and returns the future of the result at once."""
    return _invoke(to, func, args, kwargs, timeout, keep=False)


def remote(
    to: str | int,
    func: Callable[..., T],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> RemoteRef[T]:
    """Like :func:`rpc_sync`, and leaves the result on the worker: a reference to it comes back."""
    ref: RemoteRef[T] = _invoke(to, func, args, kwargs, timeout, keep=True).wait()
    return ref


def _invoke(
    to: str | int,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    timeout: float | None,
    *,
    keep: bool,
) -> Future[Any]:
    if not callable(func):
        raise TypeError(f"func must be callable; got {func!r}")
    cluster = find_cluster()
    request = Invoke(func, tuple(args), dict(kwargs or {}), keep)
    return submit(cluster, cluster.resolve(to), request, timeout)
