"""Launches the backend without processes."""

from __future__ import annotations

from collections.abc import Sequence

from remotemod.runtime.cluster import Cluster
from remotemod.runtime.inproc import InprocBackend

__all__ = ["launch"]


def launch(workers: Sequence[str], *, timeout: float | None = None) -> Cluster:
    """Workers that are threads of this process.

    Args:
        workers: their names.
        timeout: seconds that a call may take by default; None (no bound, and no change of thread).
    """
    return Cluster(InprocBackend(workers), timeout=timeout)
