"""What a worker tells the processes that connect to it: the names of all workers, and their version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from remotemod.process import Slot, slot
from remotemod.version import VERSION

__all__ = ["ClusterInfo", "cluster_info", "set_cluster_info"]


class ClusterInfo(NamedTuple):
    """A cluster, as its workers know it.

    Attributes:
        workers: their names, by rank.
        version: the version of remotemod that they run.
    """

    workers: tuple[str, ...]
    version: str


# A process that a worker forks is no worker.
_INFO: Slot[ClusterInfo | None] = slot(
    "the cluster that this worker belongs to", lambda: None, in_child="new"
)


def set_cluster_info(workers: Sequence[str]) -> None:
    """Says, on a worker, which cluster it belongs to."""
    _INFO.value = ClusterInfo(tuple(workers), VERSION)


def cluster_info() -> ClusterInfo:
    """Returns, on a worker, the cluster that it belongs to."""
    assert _INFO.value is not None, "this process is no worker"
    return _INFO.value
