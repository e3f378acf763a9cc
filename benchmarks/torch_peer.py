"""torch's own RemoteModule with one worker process, for comparison."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed import rpc


@torch.jit.interface
class EchoInterface(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Echo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def scripted_echo() -> nn.Module:
    return torch.jit.script(Echo())


def big() -> nn.Module:
    """A module of 64 MB."""
    return nn.Linear(4096, 4096, bias=False)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def serve(rank: int, world: int, port: int) -> None:
    """Joins the RPC group and stays until it ends."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    rpc.init_rpc(f"worker{rank}", rank=rank, world_size=world)
    rpc.shutdown()


@contextmanager
def torch_worker() -> Iterator[str]:
    """A torch RPC group of this process and one worker; gives the worker's name."""
    port = free_port()
    code = f"from benchmarks.torch_peer import serve; serve(1, 2, {port})"
    worker = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code])
    try:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        rpc.init_rpc("worker0", rank=0, world_size=2)
        yield "worker1"
        rpc.shutdown()
    finally:
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
