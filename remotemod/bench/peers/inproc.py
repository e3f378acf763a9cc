"""remotemod within one process: what a handle costs where nothing has to travel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remotemod.bench.peers.base import Opened, Way
from remotemod.bench.peers.shm import Shm, eager_way

if TYPE_CHECKING:
    import remotemod as rm

__all__ = ["Inproc"]


class Inproc(Shm):
    """Workers that are threads of the caller."""

    launches = False
    relaunches = False

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Launches a cluster without processes."""
        import remotemod as rm

        with rm.launch(workers=list(workers), backend="inproc") as cluster:
            yield Opened(lambda: _ways(cluster))


def _ways(cluster: rm.Cluster) -> Mapping[str, Way]:
    import remotemod as rm
    from remotemod.bench.modules import Echo

    modules = {w: rm.RemoteModule(w, Echo, cluster=cluster) for w in cluster.workers}
    return {"inproc": eager_way(cluster, modules)}
