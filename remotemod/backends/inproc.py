"""The door of inproc: workers that are threads of this process."""

from __future__ import annotations

from collections.abc import Sequence

from remotemod.owner.inproc import InprocEngine
from remotemod.rpc.cluster import Cluster

__all__ = ["launch"]


def launch(workers: Sequence[str], *, timeout: float | None = None) -> Cluster:
    """Workers that are threads of this process.

    Args:
        workers: their names.
        timeout: seconds that a call may take by default; None for no limit, and no change of thread.
    """
    return Cluster(InprocEngine(workers), timeout=timeout)
