"""Which classes and functions another process can import by name; all others travel by value."""

from __future__ import annotations

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["find", "is_importable", "is_importable_module"]


def is_importable(value: Any) -> bool:
    """Tell whether importing the module and name of a class or function gives this very object on any machine."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    return is_importable_module(module) and find(module, name) is value


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


def find(module: str, qualname: str) -> Any:
    """Look a name up in an imported module, running no code of its own (or give None)."""
    value: Any = sys.modules.get(module)
    for name in qualname.split("."):
        if not isinstance(value, (ModuleType, type)):
            return None
        value = vars(value).get(name)
    return value
