"""remotemod over its default backend: what all others are compared with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remotemod.bench.peers.base import Opened, Peer, Way

if TYPE_CHECKING:
    from torch import Tensor

    import remotemod as rm

__all__ = ["Shm", "eager_way"]


class Shm(Peer):
    """Worker processes of this machine, called eagerly and from TorchScript."""

    launches = True
    relaunches = True

    def prepare(self) -> None:
        """Imports remotemod and torch, and nothing that launching itself imports."""
        import torch  # noqa: F401

        import remotemod  # noqa: F401

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Launches a cluster; that returns when every worker has answered."""
        import remotemod as rm

        with rm.launch(workers=list(workers)) as cluster:
            yield Opened(
                lambda: _ways(cluster), lambda: {w: rm.rpc_sync(w, os.getpid) for w in workers}
            )


def _ways(cluster: rm.Cluster) -> Mapping[str, Way]:
    import torch

    import remotemod as rm
    from remotemod.bench.modules import Echo, EchoInterface

    modules = {
        worker: rm.RemoteModule(worker, Echo, interface=EchoInterface, cluster=cluster)
        for worker in cluster.workers
    }
    scripted = {worker: torch.jit.script(module) for worker, module in modules.items()}
    return {
        "remotemod": eager_way(cluster, modules),
        "remotemod scripted": Way(call=lambda worker, x: scripted[worker](x)),
    }


def eager_way(cluster: rm.Cluster, modules: Mapping[str, rm.RemoteModule]) -> Way:
    """What the handles of remote modules can do."""
    import remotemod as rm
    from remotemod.bench.modules import small

    def submit(worker: str, x: Tensor) -> Callable[[], object]:
        wait: Callable[[], object] = modules[worker].forward_async(x).wait
        return wait

    return Way(
        call=lambda worker, x: modules[worker](x),
        submit=submit,
        create=lambda worker: rm.RemoteModule(worker, small, cluster=cluster),
    )
