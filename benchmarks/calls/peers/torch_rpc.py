"""torch's own RemoteModule over torch.distributed.rpc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from remotemod.bench.peers.base import Opened, Way

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TorchRpc", "join", "rpc_group"]

_SECONDS = 240.0
_GRACE = 20.0


class TorchRpc:
    """One RPC group: the caller and its workers, each a fresh process that calls ``init_rpc``."""

    launches = True
    relaunches = False  # a process joins one group

    def available(self) -> str | None:
        """It is where torch was built with its distributed package."""
        import torch.distributed

        if torch.distributed.is_available() and torch.distributed.rpc.is_available():
            return None
        return "this build of torch has no torch.distributed.rpc; install one that has"

    def prepare(self) -> None:
        """Import torch's RPC and its remote modules."""
        import torch.distributed.nn.api.remote_module
        import torch.distributed.rpc  # noqa: F401

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Start the workers and join their group."""
        from torch.distributed import rpc

        with rpc_group(workers):
            yield Opened(
                lambda: _ways(workers), lambda: {w: rpc.rpc_sync(w, os.getpid) for w in workers}
            )


@contextmanager
def rpc_group(workers: Sequence[str]) -> Iterator[None]:
    """An RPC group of this process and of workers with these names; ended with the context."""
    from torch.distributed import rpc

    port, world = _free_port(), len(workers) + 1
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _worker_code(name, 1 + i, world, port)]
        )
        for i, name in enumerate(workers)
    ]
    try:
        join("caller", 0, world, port)
        try:
            yield
        except BaseException:
            rpc.shutdown(graceful=False)
            raise
        rpc.shutdown()
    except BaseException:
        for process in processes:
            process.kill()
        raise
    finally:
        for process in processes:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _worker_code(name: str, rank: int, world: int, port: int) -> str:
    return (
        "from benchmarks.calls.peers.torch_rpc import join; from torch.distributed import rpc; "
        f"join({name!r}, {rank}, {world}, {port}); rpc.shutdown()"
    )


def join(name: str, rank: int, world: int, port: int) -> None:
    """Join the RPC group, over the loopback interface alone; return when all have."""
    from torch.distributed import rpc

    os.environ.update(TP_SOCKET_IFNAME="lo", GLOO_SOCKET_IFNAME="lo")
    options = rpc.TensorPipeRpcBackendOptions(
        init_method=f"tcp://127.0.0.1:{port}", rpc_timeout=_SECONDS
    )
    init: Any = rpc.init_rpc  # which has no annotations
    init(name, rank=rank, world_size=world, rpc_backend_options=options)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _ways(workers: Sequence[str]) -> Mapping[str, Way]:
    import torch
    from torch.distributed.nn.api import remote_module

    from benchmarks.modules import scripted_echo
    from remotemod.bench.modules import Echo, EchoInterface, small

    theirs: Any = (
        remote_module  # whose annotations know classes alone, not functions that build modules
    )
    modules = {w: theirs.RemoteModule(f"{w}/cpu", Echo) for w in workers}
    scripted = {
        w: torch.jit.script(
            theirs._RemoteModule(f"{w}/cpu", scripted_echo, _module_interface_cls=EchoInterface)
        )
        for w in workers
    }

    def submit(worker: str, x: Tensor) -> Callable[[], object]:
        wait: Callable[[], object] = modules[worker].forward_async(x).wait
        return wait

    return {
        "torch": Way(
            call=lambda worker, x: modules[worker](x),
            submit=submit,
            create=lambda worker: theirs.RemoteModule(f"{worker}/cpu", small),
            exists=lambda module: module.module_rref._get_future().wait(),
        ),
        "torch scripted": Way(call=lambda worker, x: scripted[worker](x)),
    }
