"""Which classes and functions another process can import by name; all others travel by value."""

from __future__ import annotations

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from typing import Any

from remotemod.objects import find_or_none

__all__ = ["is_importable", "is_importable_module"]


def is_importable(value: Any) -> bool:
    """Tell whether importing the module and name of a class or function gives this very object on any machine."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    return is_importable_module(module) and find_or_none(module, name) is value


def is_importable_module(module: str) -> bool:
    """Tell whether a module of this process can be imported elsewhere; ``__main__`` is another one there."""
    if module in ("__main__", "__mp_main__"):
        return False
    if _spec_of(module) is not None:
        return True
    # What an extension module makes of itself has no spec, and is there once the extension is loaded.
    parent = _spec_of(module.rpartition(".")[0])
    return parent is not None and isinstance(parent.loader, ExtensionFileLoader)


def _spec_of(module: str) -> ModuleSpec | None:
    return getattr(sys.modules.get(module), "__spec__", None)
