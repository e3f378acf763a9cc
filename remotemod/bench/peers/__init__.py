"""The ways that are measured beside each other: which there are, and where each is implemented."""

from __future__ import annotations

from remotemod.bench.peers.base import Peer
from remotemod.objects import find, split_name

__all__ = ["CHOICES", "FLOORS", "OURS", "PEERS", "load"]

OURS = "remotemod"
"""The peer, and the way, that all ratios are against."""

FLOORS = "floors"
"""The peer whose ways nobody can be faster than."""

PEERS = {
    OURS: "remotemod.bench.peers.shm:Shm",
    FLOORS: "remotemod.bench.peers.floors:Floors",
    "direct": "remotemod.bench.peers.direct:Direct",
    "inproc": "remotemod.bench.peers.inproc:Inproc",
    "torch": "remotemod.bench.peers.torch_rpc:TorchRpc",
    "grpc": "remotemod.bench.peers.grpc_service:GrpcService",
    "ray": "remotemod.bench.peers.ray_actors:RayActors",
    "monarch": "remotemod.bench.peers.monarch_actors:MonarchActors",
}

CHOICES = tuple(name for name in PEERS if name not in (OURS, FLOORS))
"""What users can name to measure against."""


def load(spec: str) -> Peer:
    """A peer, given as ``module:class``; its own libraries stay unloaded until it is prepared."""
    peer: Peer = find(*split_name(spec), load=True)()
    return peer
