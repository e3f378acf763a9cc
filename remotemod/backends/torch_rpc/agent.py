"""Finds this process's RPC agent and the cluster of its workers; imports nothing heavy until there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.distributed.rpc as rpc

from remotemod.errors import BackendUnavailable
from remotemod.torch_compat.rpc import agent_is_running, group

if TYPE_CHECKING:
    from remotemod.rpc.cluster import Cluster

__all__ = ["ambient", "connect", "generation", "is_running"]


def is_running() -> bool:
    """Whether ``torch.distributed.rpc.init_rpc`` has been called, and ``shutdown`` not yet."""
    return agent_is_running()


def generation() -> Any:
    """An object that is another one after each ``init_rpc``; None without an agent."""
    return group() if is_running() else None


_AMBIENT: list[tuple[Any, Cluster]] = []


def ambient() -> Cluster | None:
    """The cluster of this process's RPC agent; None without one."""
    now = generation()
    if now is None:
        return None
    if not _AMBIENT or _AMBIENT[0][0] is not now:
        _AMBIENT[:] = [(now, _cluster(None))]
    return _AMBIENT[0][1]


def connect(address: str, *, timeout: float | None = None) -> Cluster:
    """The cluster of this process's RPC agent.

    Args:
        address: ``torchrpc://``; there is nothing to say behind it.
        timeout: seconds that a call may take by default; None for what ``init_rpc`` was told
            (``rpc_backend_options.rpc_timeout``, 60 s if nothing was said), ``math.inf`` for no bound.

    Raises:
        BackendUnavailable: this process has no RPC agent.
    """
    rest = address.partition("://")[2]
    if rest:
        raise BackendUnavailable(
            f"'torchrpc://' means the RPC agent of this process and takes no address; got {rest!r}"
        )
    if not rpc.is_available():
        raise BackendUnavailable("this build of torch has no torch.distributed.rpc")
    if not is_running():
        raise BackendUnavailable(
            "this process has no RPC agent: call torch.distributed.rpc.init_rpc(name, rank=…, "
            "world_size=…) first, or let remotemod start local workers: "
            'rm.launch(workers=…, backend="torch_rpc")'
        )
    return _cluster(timeout)


def _cluster(timeout: float | None) -> Cluster:
    from remotemod.backends.torch_rpc.backend import TorchRpcBackend
    from remotemod.rpc.cluster import Cluster

    return Cluster(TorchRpcBackend(), timeout=timeout)
