"""A code-generating remote-module compiler for PyTorch.

Everything is imported on first use: ``import remotemod`` alone costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from remotemod.errors import (
    ArchiveError,
    BackendUnavailable,
    Cancelled,
    DeadlineExceeded,
    GraphError,
    InterfaceError,
    InterfaceMismatch,
    PlacementError,
    ProtocolError,
    RemoteError,
    RemoteModError,
    WorkerLost,
)
from remotemod.torch_hooks import prepare_torch
from remotemod.version import VERSION as __version__

# Not testing, which imports this; type checkers know it where somebody imports it, as in docs/backends.md.
if TYPE_CHECKING:
    from remotemod.archive.export import export
    from remotemod.archive.load import load
    from remotemod.backends.shm.heap import empty
    from remotemod.codegen.generate import generate
    from remotemod.codegen.render import render
    from remotemod.future import Future
    from remotemod.handles.functions import remote, rpc_async, rpc_sync
    from remotemod.handles.lookup import lookup
    from remotemod.handles.module import RemoteModule
    from remotemod.interface.model import Interface
    from remotemod.interface.read import read_interface
    from remotemod.optim.clip import clip_grad_norm_
    from remotemod.optim.optimizer import RemoteOptimizer
    from remotemod.rpc.cluster import Cluster
    from remotemod.rpc.launch import connect, launch
    from remotemod.rpc.ref import RemoteRef
    from remotemod.waiting import as_completed, wait_all

__all__ = [
    "ArchiveError",
    "BackendUnavailable",
    "Cancelled",
    "Cluster",
    "DeadlineExceeded",
    "Future",
    "GraphError",
    "Interface",
    "InterfaceError",
    "InterfaceMismatch",
    "PlacementError",
    "ProtocolError",
    "RemoteError",
    "RemoteModError",
    "RemoteModule",
    "RemoteOptimizer",
    "RemoteRef",
    "WorkerLost",
    "__version__",
    "as_completed",
    "clip_grad_norm_",
    "connect",
    "empty",
    "export",
    "generate",
    "launch",
    "load",
    "lookup",
    "read_interface",
    "remote",
    "render",
    "rpc_async",
    "rpc_sync",
    "testing",
    "wait_all",
]

_HOMES = {
    "Cluster": "remotemod.rpc.cluster",
    "Future": "remotemod.future",
    "Interface": "remotemod.interface.model",
    "RemoteModule": "remotemod.handles.module",
    "RemoteOptimizer": "remotemod.optim.optimizer",
    "RemoteRef": "remotemod.rpc.ref",
    "as_completed": "remotemod.waiting",
    "clip_grad_norm_": "remotemod.optim.clip",
    "connect": "remotemod.rpc.launch",
    "empty": "remotemod.backends.shm.heap",
    "export": "remotemod.archive.export",
    "generate": "remotemod.codegen.generate",
    "launch": "remotemod.rpc.launch",
    "load": "remotemod.archive.load",
    "lookup": "remotemod.handles.lookup",
    "read_interface": "remotemod.interface.read",
    "remote": "remotemod.handles.functions",
    "render": "remotemod.codegen.render",
    "rpc_async": "remotemod.handles.functions",
    "rpc_sync": "remotemod.handles.functions",
    "wait_all": "remotemod.waiting",
}


def __getattr__(name: str) -> object:
    if name == "testing":
        return importlib.import_module("remotemod.testing")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'remotemod' has no attribute '{name}'")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


prepare_torch()  # a plain torch.jit.load finds remote parts, whichever of the two is imported first
