"""remotemod over each of its backends: a remote module on every worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remotemod.bench.peers.base import Opened, Peer, Way

if TYPE_CHECKING:
    from torch import Tensor

    import remotemod as rm

__all__ = ["Inproc", "Shm", "TorchRpc"]


class Shm(Peer):
    """The default backend, called eagerly and from TorchScript.

    Attributes:
        backend: what launches the workers.
        way: the eager caller's name in tables; that of the scripted one is made of it.
        is_scripted: whether to measure a scripted caller too.
    """

    backend = "shm"
    way = "remotemod"
    is_scripted = True
    launches = True
    relaunches = True

    def prepare(self) -> None:
        """Import remotemod and torch, and nothing that launching itself imports."""
        import torch  # noqa: F401

        import remotemod  # noqa: F401

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Launch a cluster; that returns when every worker has answered."""
        import remotemod as rm

        with rm.launch(workers=list(workers), backend=self.backend) as cluster:
            yield Opened(
                lambda: self._ways(cluster), lambda: {w: rm.rpc_sync(w, os.getpid) for w in workers}
            )

    def _ways(self, cluster: rm.Cluster) -> Mapping[str, Way]:
        import torch

        import remotemod as rm
        from remotemod.bench.modules import Echo, EchoInterface, small

        interface = EchoInterface if self.is_scripted else None
        modules = {
            worker: rm.RemoteModule(worker, Echo, interface=interface, cluster=cluster)
            for worker in cluster.workers
        }

        def submit(worker: str, x: Tensor) -> Callable[[], object]:
            wait: Callable[[], object] = modules[worker].forward_async(x).wait
            return wait

        eager = Way(
            call=lambda worker, x: modules[worker](x),
            submit=submit,
            create=lambda worker: rm.RemoteModule(worker, small, cluster=cluster),
        )
        if not self.is_scripted:
            return {self.way: eager}
        scripted = {worker: torch.jit.script(module) for worker, module in modules.items()}
        call = Way(call=lambda worker, x: scripted[worker](x))
        return {self.way: eager, f"{self.way} scripted": call}


class TorchRpc(Shm):
    """Worker processes over torch's RPC."""

    backend = way = "torch_rpc"
    relaunches = False  # a process joins one group


class Inproc(Shm):
    """Workers within the caller's process: what a handle costs where nothing has to travel."""

    backend = way = "inproc"
    is_scripted = False
    launches = False
    relaunches = False
