"""Open clusters: start workers on a backend, or connect to running ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remotemod.errors import BackendUnavailable, PlacementError
from remotemod.rpc.cluster import Cluster, make_current
from remotemod.rpc.registry import DEFAULT, door_of, door_to

__all__ = ["connect", "launch"]


def launch(workers: int | Sequence[str] = 1, *, backend: str = DEFAULT, **options: Any) -> Cluster:
    """Start workers on this machine and make their cluster the current one.

    Args:
        workers: how many (they are named ``worker0``, ``worker1``, …), or their names.
        backend: ``"shm"`` (worker processes), ``"torch_rpc"`` (worker processes over
            ``torch.distributed.rpc``) or ``"inproc"`` (threads of this process), or the name of an
            installed third-party backend.
        options: the backend's own, such as ``timeout`` (seconds a call may take by default).

    Returns:
        The cluster; use it as a context manager, or call ``close()``.

    Raises:
        BackendUnavailable: the backend does not exist or cannot run here; the message has a hint.
        PlacementError: the names are not usable.
    """
    names = _names(workers)
    door = door_of(backend)
    if not hasattr(door, "launch"):
        raise BackendUnavailable(
            f"backend '{backend}' starts no workers; connect to those that run: rm.connect('{backend}://…')"
        )
    try:
        cluster: Cluster = door.launch(names, **options)
    except TypeError as error:
        if "unexpected keyword argument" in str(error) and options:
            raise TypeError(f"backend '{backend}': {error}") from None
        raise
    make_current(cluster)
    return cluster


def connect(address: str, **options: Any) -> Cluster:
    """Connect to running workers.

    Args:
        address: ``scheme://…``; the scheme names the backend. ``shm://…`` are the workers that another process
            of this user has launched on this machine; ``Cluster.address`` says it there. ``torchrpc://`` is the
            RPC agent of this process (``torch.distributed.rpc.init_rpc``).
        options: the backend's own: ``timeout`` (seconds a call may take by default) and, for ``shm://``, ``arena``
            (bytes) and ``in_flight`` (calls), as ``rm.launch`` takes them.

    Returns:
        The cluster, which is now the current one. Closing it ends nothing that it did not start.

    Raises:
        BackendUnavailable: no installed backend connects to such an address, or nothing runs there.
    """
    scheme, separator, _ = address.partition("://")
    if not separator:
        raise BackendUnavailable(f"an address has the form 'scheme://…'; got {address!r}")
    cluster: Cluster = door_to(scheme).connect(address, **options)
    make_current(cluster)
    return cluster


def _names(workers: int | Sequence[str]) -> list[str]:
    if isinstance(workers, bool) or not isinstance(workers, (int, list, tuple)):
        raise PlacementError(f"workers must be a count or a list of names; got {workers!r}")
    if isinstance(workers, int):
        workers = [f"worker{i}" for i in range(workers)]
    if not workers:
        raise PlacementError("workers must name at least one worker")
    names = list(workers)
    for name in names:
        if not isinstance(name, str) or not name or "/" in name or name.startswith("rank:"):
            raise PlacementError(
                f"{name!r} cannot name a worker: names are non-empty, have no '/' and do not begin with 'rank:'"
            )
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise PlacementError(
            f"two workers are named '{duplicates[0]}'; give each a name of its own"
        )
    return names
