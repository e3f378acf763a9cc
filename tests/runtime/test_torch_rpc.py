"""torch_rpc passes the contract of every backend."""

from __future__ import annotations

from remotemod.testing import BackendConformance


class TestTorchRpc(BackendConformance):
    """Worker processes over torch's RPC."""

    backend = "torch_rpc"
