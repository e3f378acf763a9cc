"""Find backends by name: our own, and those of other packages through entry points."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator
from typing import Any

from remotemod.errors import BackendUnavailable
from remotemod.hints import did_you_mean
from remotemod.process import cached

__all__ = ["DEFAULT", "ENTRY_POINTS", "ambient_doors", "backend_names", "door_of", "door_to"]

DEFAULT = "shm"
"""The backend of ``rm.launch`` where none is named."""

ENTRY_POINTS = "remotemod.backends"
"""The entry-point group in which a package names its backend's door."""

_OWN = {
    "inproc": "remotemod.backends.inproc",
    "shm": "remotemod.backends.shm.door",
    "torch_rpc": "remotemod.backends.torch_rpc.door",
}
_AMBIENT = ("torch_rpc",)
"""Those whose doors have ``ambient()``; every process without a cluster asks them, and loads no other for that."""


def backend_names() -> list[str]:
    """The names of all backends that are installed."""
    return sorted({*_OWN, *(e.name for e in importlib.metadata.entry_points(group=ENTRY_POINTS))})


@cached()
def door_of(name: str) -> Any:
    """A backend's door: an object (mostly a module) with ``launch`` or ``connect``, or both.

    ``launch(names, **options)`` starts workers of these names, and ``connect(address, **options)`` uses workers that
    run already; both return a :class:`remotemod.rpc.cluster.Cluster`. A door may also have ``ambient()``: the cluster
    that this process is a member of without having opened one, or None.

    Raises:
        BackendUnavailable: there is no such backend, or it cannot be imported here.
    """
    try:
        if name in _OWN:
            return importlib.import_module(_OWN[name])
        (entry,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
        return entry.load()
    except ValueError:
        names = backend_names()
        hint = did_you_mean(name, names, lead="; ")
        raise BackendUnavailable(
            f"there is no backend '{name}'; installed are {', '.join(names)}{hint}"
        ) from None
    except ImportError as error:
        raise BackendUnavailable(f"backend '{name}' cannot be used here: {error}") from error


def door_to(scheme: str) -> Any:
    """The door of the backend that connects to ``scheme://…``: that of this name, or of this name with underscores.

    Raises:
        BackendUnavailable: no backend connects to such addresses, or it cannot be imported here.
    """
    for name in backend_names():
        if scheme in (name, name.replace("_", "")):
            door = door_of(name)
            if hasattr(door, "connect"):
                return door
    schemes = ", ".join(f"{name.replace('_', '')}://" for name in _connecting())
    raise BackendUnavailable(
        f"no backend connects to '{scheme}://'; there is {schemes}, "
        "or start workers of your own with rm.launch(workers=…)"
    )


def _connecting() -> Iterator[str]:
    for name in backend_names():
        try:
            if hasattr(door_of(name), "connect"):
                yield name
        except BackendUnavailable:
            continue


def ambient_doors() -> Iterator[Any]:
    """The doors of our own with clusters that exist without being opened, such as an RPC agent's."""
    for name in _AMBIENT:
        with contextlib.suppress(
            BackendUnavailable
        ):  # a build of torch without its RPC has no agent
            yield door_of(name)
