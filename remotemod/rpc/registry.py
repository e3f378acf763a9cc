"""Finds backends by name: our own lazily, third parties' through entry points."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from remotemod.errors import BackendUnavailable
from remotemod.hints import did_you_mean

if TYPE_CHECKING:
    from remotemod.rpc.cluster import Cluster

__all__ = ["ENTRY_POINTS", "ambient_cluster", "backend_names", "connector", "launcher"]

ENTRY_POINTS = "remotemod.backends"
"""The entry-point group in which a package registers ``name = "module:launch"``."""

_OWN = {
    "inproc": "remotemod.backends.inproc",
    "shm": "remotemod.backends.shm.backend",
    "torch_rpc": "remotemod.backends.torch_rpc.launching",
}
_CONNECTING = {
    "shm": "remotemod.backends.shm.connecting",
    "torchrpc": "remotemod.backends.torch_rpc.agent",
}
_AMBIENT = ["remotemod.backends.torch_rpc.agent"]


def backend_names() -> list[str]:
    """The names of all backends that are installed."""
    return sorted({*_OWN, *(e.name for e in importlib.metadata.entry_points(group=ENTRY_POINTS))})


def launcher(name: str) -> Callable[..., Cluster]:
    """The function that starts workers on a backend: ``launch(names, **options) -> Cluster``.

    Raises:
        BackendUnavailable: there is no such backend, or it cannot be imported here.
    """
    found: Any
    try:
        if name in _OWN:
            found = importlib.import_module(_OWN[name]).launch
        else:
            (entry,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
            found = entry.load()
    except ValueError:
        names = backend_names()
        hint = did_you_mean(name, names, lead="; ")
        raise BackendUnavailable(
            f"there is no backend '{name}'; installed are {', '.join(names)}{hint}"
        ) from None
    except ImportError as error:
        raise BackendUnavailable(f"backend '{name}' cannot be used here: {error}") from error
    return found  # type: ignore[no-any-return]


def connector(scheme: str) -> Callable[..., Cluster]:
    """The function that connects to an address: ``connect(address, **options) -> Cluster``.

    Raises:
        BackendUnavailable: no backend connects to such addresses.
    """
    if scheme not in _CONNECTING:
        known = ", ".join(f"{s}://" for s in _CONNECTING)
        raise BackendUnavailable(
            f"no backend connects to '{scheme}://'; there is {known}, "
            "or start workers of your own with rm.launch(workers=…)"
        )
    return importlib.import_module(_CONNECTING[scheme]).connect  # type: ignore[no-any-return]


def ambient_cluster() -> Cluster | None:
    """The cluster that this process is a member of without having opened one, such as an RPC agent's."""
    for module in _AMBIENT:
        try:
            ambient = importlib.import_module(module).ambient
        except ImportError:  # a build of torch without its RPC has no agent
            continue
        found: Cluster | None = ambient()
        if found is not None:
            return found
    return None
