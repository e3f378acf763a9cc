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
from remotemod.version import VERSION as __version__
from remotemod.when_torch import prepare_torch

if TYPE_CHECKING:
    from remotemod import testing
    from remotemod.archive.export import export
    from remotemod.archive.load import load
    from remotemod.backends.shm.heap import empty
    from remotemod.interface.model import Interface
    from remotemod.interface.read import read_interface
    from remotemod.launching import connect, launch
    from remotemod.optim.clip import clip_grad_norm_
    from remotemod.optim.optimizer import RemoteOptimizer
    from remotemod.runtime.cluster import Cluster
    from remotemod.runtime.future import Future
    from remotemod.runtime.ref import RemoteRef
    from remotemod.runtime.remote_module import RemoteModule
    from remotemod.runtime.rpc import remote, rpc_async, rpc_sync
    from remotemod.stubs.generate import generate
    from remotemod.stubs.render import render

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
    "clip_grad_norm_",
    "connect",
    "empty",
    "export",
    "generate",
    "launch",
    "load",
    "read_interface",
    "remote",
    "render",
    "rpc_async",
    "rpc_sync",
    "testing",
]

_HOMES = {
    "Cluster": "remotemod.runtime.cluster",
    "Future": "remotemod.runtime.future",
    "Interface": "remotemod.interface.model",
    "RemoteModule": "remotemod.runtime.remote_module",
    "RemoteOptimizer": "remotemod.optim.optimizer",
    "RemoteRef": "remotemod.runtime.ref",
    "clip_grad_norm_": "remotemod.optim.clip",
    "connect": "remotemod.launching",
    "empty": "remotemod.backends.shm.heap",
    "export": "remotemod.archive.export",
    "generate": "remotemod.stubs.generate",
    "launch": "remotemod.launching",
    "load": "remotemod.archive.load",
    "read_interface": "remotemod.interface.read",
    "remote": "remotemod.runtime.rpc",
    "render": "remotemod.stubs.render",
    "rpc_async": "remotemod.runtime.rpc",
    "rpc_sync": "remotemod.runtime.rpc",
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
