"""The door of torch_rpc: the agent that this process has, or local workers of its own.

A door is light, because every process asks it for its agent: the engine loads when there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.distributed.rpc as rpc

from remotemod.backends.processes.workers import DEFAULT_TIMEOUT, close_at_exit
from remotemod.backends.torch_rpc.agent import generation, is_running
from remotemod.errors import BackendUnavailable
from remotemod.process import Slot, slot
from remotemod.rpc.cluster import Cluster
from remotemod.timeouts import resolve_timeout

__all__ = ["ambient", "connect", "launch"]

_AMBIENT: Slot[tuple[Any, Cluster | None]] = slot(
    "the cluster of this process's agent, and that agent's generation", lambda: (None, None)
)


def ambient() -> Cluster | None:
    """The cluster of this process's RPC agent; None without one."""
    current = generation()
    if current is None:
        return None
    if _AMBIENT.value[0] is not current:
        _AMBIENT.value = current, _cluster(None)
    return _AMBIENT.value[1]


def connect(address: str, *, timeout: float | None = None) -> Cluster:
    """The cluster of this process's RPC agent.

    Args:
        address: ``torchrpc://``, and nothing behind it.
        timeout: seconds that a call may take by default; None for that of ``init_rpc``
            (``rpc_backend_options.rpc_timeout``, by default 60 s), ``math.inf`` for none.

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


def launch(
    workers: Sequence[str],
    *,
    timeout: float | None = DEFAULT_TIMEOUT,
    threads: int | None = None,
    rpc_threads: int = 16,
) -> Cluster:
    """Start worker processes on this machine that speak torch's RPC over its loopback.

    The calling process joins their group as ``caller``; ``rank:N`` counts the workers alone.

    Args:
        workers: their names.
        timeout: seconds that a call may take by default; None for torch's own 60, ``math.inf`` for none.
        threads: threads a worker computes with; by default as many as this process.
        rpc_threads: threads with which each process answers requests.

    Raises:
        BackendUnavailable: torch was built without RPC, or this process has an RPC agent already.
    """
    from remotemod.backends.torch_rpc.launching import CALLER, Group

    if not rpc.is_available():
        raise BackendUnavailable("this build of torch has no torch.distributed.rpc")
    if is_running():
        raise BackendUnavailable(
            "this process has an RPC agent already (init_rpc was called), and torch allows one: "
            'use its workers with rm.connect("torchrpc://"), or call rpc.shutdown() first'
        )
    if CALLER in workers:
        raise BackendUnavailable(f"'{CALLER}' is the calling process; name the worker otherwise")
    group = Group(list(workers), resolve_timeout(timeout), rpc_threads)
    try:
        cluster = group.start(threads)
    except BaseException:
        group.close()
        raise
    close_at_exit(cluster)
    return cluster


def _cluster(timeout: float | None) -> Cluster:
    from remotemod.backends.torch_rpc.engine import TorchRpcEngine

    return Cluster(TorchRpcEngine(), timeout=timeout)
