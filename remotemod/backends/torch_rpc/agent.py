"""The RPC agent of this process: whether there is one, and its generation."""

from __future__ import annotations

from typing import Any

from remotemod.torch_compat.rpc import agent_is_running, group

__all__ = ["generation", "is_running"]


def is_running() -> bool:
    """Whether ``torch.distributed.rpc.init_rpc`` has been called, and ``shutdown`` not yet."""
    return agent_is_running()


def generation() -> Any:
    """An object that changes with each ``init_rpc``; None without an agent."""
    return group() if is_running() else None
