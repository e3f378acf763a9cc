"""The cluster that is used where none is named."""

from __future__ import annotations

from remotemod.errors import RemoteModError
from remotemod.process import Slot, slot
from remotemod.rpc.cluster import Cluster, latest_open
from remotemod.rpc.registry import ambient_doors

__all__ = [
    "ambient_cluster",
    "cluster_of_reference",
    "current_cluster",
    "find_cluster",
    "set_process_cluster",
]

_OWN: Slot[Cluster | None] = slot("on a worker: the cluster that it belongs to", lambda: None)


def set_process_cluster(cluster: Cluster) -> None:
    """Set the cluster that this worker belongs to."""
    _OWN.value = cluster


def current_cluster() -> Cluster | None:
    """The cluster that is used where none is named; None where there is none."""
    return latest_open() or _OWN.value or ambient_cluster()


def ambient_cluster() -> Cluster | None:
    """The cluster that this process is a member of without having opened it, such as an RPC agent's."""
    clusters = (door.ambient() for door in ambient_doors())
    return next((cluster for cluster in clusters if cluster is not None), None)


def cluster_of_reference(ref: object) -> Cluster | None:
    """The open cluster for a reference of an engine's own kind, which does not name its cluster."""
    clusters = (current_cluster(), ambient_cluster())
    owning = (c for c in clusters if c is not None and c.engine.is_own_reference(ref))
    return next(owning, None)


def find_cluster(cluster: Cluster | None = None) -> Cluster:
    """``cluster``, or the current one.

    Raises:
        RemoteModError: there is none.
    """
    resolved = cluster or current_cluster()
    if resolved is None:
        raise RemoteModError(
            "there is no cluster: open one with `with rm.launch(workers=…):`, start torch's RPC "
            '(torch.distributed.rpc.init_rpc), or place the module in this process ("cpu")'
        )
    return resolved
