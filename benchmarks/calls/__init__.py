"""Remote calls beside other libraries' in one run: ``python -m benchmarks.calls``."""

from __future__ import annotations

from remotemod.bench import peers

__all__ = ["DISTRIBUTIONS", "PEERS"]

PEERS = {
    **peers.PEERS,
    "torch": "benchmarks.calls.peers.torch_rpc:TorchRpc",
    "grpc": "benchmarks.calls.peers.grpc_service:GrpcService",
    "ray": "benchmarks.calls.peers.ray_actors:RayActors",
    "monarch": "benchmarks.calls.peers.monarch_actors:MonarchActors",
}
"""What can be measured, and where each is implemented: ours first, then the other libraries."""

DISTRIBUTIONS = ("torch", "numpy", "ray", "grpcio", "torchmonarch")
"""Those whose versions stand beside the figures."""
