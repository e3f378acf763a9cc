"""gRPC by hand: a generic service in a worker process, the tensor's bytes as the message."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from remotemod.bench.peers.base import Opened, Way, missing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OPTIONS", "SERVICE", "GrpcService"]

SERVICE = "remotemod.bench"
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]
_SECONDS = 240.0
_GRACE = 10.0


class GrpcService:
    """One server process a worker, on the loopback interface."""

    launches = True
    relaunches = True

    def available(self) -> str | None:
        """It is where grpcio is installed."""
        return missing("grpcio", "'remotemod[grpc]'")

    def prepare(self) -> None:
        """Import grpc and torch."""
        import grpc  # noqa: F401
        import torch  # noqa: F401

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        """Start the servers, and a channel to each."""
        import grpc

        with ExitStack() as stack:
            servers = [stack.enter_context(_server()) for _ in workers]
            channels = {}
            for name, server in zip(workers, servers, strict=True):
                port = _port(server)
                channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS)
                channels[name] = stack.enter_context(channel)
            for channel in channels.values():
                _method(channel, "ping")(b"", timeout=_SECONDS)
            pids = {name: server.pid for name, server in zip(workers, servers, strict=True)}
            yield Opened(lambda: _ways(channels), lambda: pids)


@contextmanager
def _server() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.calls.peers.grpc_worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()  # which ends it
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _port(server: subprocess.Popen[bytes]) -> int:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise RuntimeError("the gRPC server ended before it listened")
    return int(line)


def _method(channel: Any, name: str) -> Any:
    return channel.unary_unary(f"/{SERVICE}/{name}")


def _ways(channels: Mapping[str, Any]) -> Mapping[str, Way]:
    import torch

    echo = {name: _method(channel, "echo") for name, channel in channels.items()}
    create = {name: _method(channel, "create") for name, channel in channels.items()}

    def tensor(data: bytes) -> Tensor:
        return torch.frombuffer(data, dtype=torch.float32)

    def submit(worker: str, x: Tensor) -> Callable[[], object]:
        future = echo[worker].future(x.numpy().tobytes())
        return lambda: tensor(future.result())

    return {
        "grpc": Way(
            call=lambda worker, x: tensor(echo[worker](x.numpy().tobytes())),
            submit=submit,
            create=lambda worker: create[worker](b""),
        )
    }
