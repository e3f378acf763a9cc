"""The ways that are measured beside each other: which there are, and where each is implemented."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from remotemod.bench.peers.base import Peer

__all__ = ["FLOORS", "OURS", "PEERS", "choices", "load"]

OURS = "remotemod"
"""The peer, and the way, that all ratios are against."""

FLOORS = "floors"
"""The peer whose ways nobody can be faster than."""

PEERS = {
    OURS: "remotemod.bench.peers.ours:Shm",
    FLOORS: "remotemod.bench.peers.floors:Floors",
    "direct": "remotemod.bench.peers.direct:Direct",
    "inproc": "remotemod.bench.peers.ours:Inproc",
    "torch_rpc": "remotemod.bench.peers.ours:TorchRpc",
}
"""What can be measured on any machine, as ``module:class``."""


def choices(peers: Iterable[str]) -> tuple[str, ...]:
    """What users can name to measure beside ours."""
    return tuple(name for name in peers if name not in (OURS, FLOORS))


def load(spec: str) -> Peer:
    """A peer, given as ``module:class``; its own libraries stay unloaded until it is prepared."""
    module, _, name = spec.partition(":")
    peer: Peer = getattr(importlib.import_module(module), name)()
    return peer
