"""Finds backends by name: our own lazily, third parties' through entry points."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

from remotemod.errors import BackendUnavailable
from remotemod.runtime.cluster import Cluster

__all__ = ["ENTRY_POINTS", "backend_names", "launcher"]

ENTRY_POINTS = "remotemod.backends"
"""The entry-point group in which a package registers ``name = "module:launch"``."""

_OWN = {
    "inproc": "remotemod.backends.inproc",
    "shm": "remotemod.backends.shm.backend",
}


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
        close = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise BackendUnavailable(
            f"there is no backend '{name}'; installed are {', '.join(names)}{hint}"
        ) from None
    except ImportError as error:
        raise BackendUnavailable(f"backend '{name}' cannot be used here: {error}") from error
    return found  # type: ignore[no-any-return]
