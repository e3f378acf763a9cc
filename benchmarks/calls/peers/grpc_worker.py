"""The server that a gRPC worker is; it prints its port and ends with its standard input."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import torch

from benchmarks.calls.peers.grpc_service import OPTIONS, SERVICE
from remotemod.bench.modules import Echo, small

__all__ = ["main"]

_THREADS = 4


def main() -> None:
    """Serve until nobody holds the other end of the standard input."""
    module, kept = Echo(), list[object]()

    def echo(data: bytes, context: object) -> bytes:
        result: bytes = module(torch.frombuffer(data, dtype=torch.float32)).numpy().tobytes()
        return result

    def create(data: bytes, context: object) -> bytes:
        kept.append(small())
        return b""

    def ping(data: bytes, context: object) -> bytes:
        return b""

    handlers = {
        function.__name__: grpc.unary_unary_rpc_method_handler(function)
        for function in (echo, create, ping)
    }
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
