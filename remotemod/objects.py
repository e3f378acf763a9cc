"""Find the object behind a module's name and a qualified name in it: what ``module:qualname`` stands for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

__all__ = ["ObjectNotFound", "attribute", "find", "find_or_none", "split_name"]


class ObjectNotFound(LookupError):
    """There is no object of that name.

    Attributes:
        module: the module's name.
        qualname: the name in it.
        missing: the part of ``qualname`` that is not there, where that is known.
        names: what there is in the place of the missing part.
    """

    def __init__(
        self, module: str, qualname: str, missing: str = "", names: Sequence[str] = ()
    ) -> None:
        self.module = module
        self.qualname = qualname
        self.missing = missing
        self.names = names
        what = f"has no attribute '{qualname}'" if module in sys.modules else "is not imported"
        super().__init__(f"module '{module}' {what}")


def split_name(name: str) -> tuple[str, str]:
    """Return the module and the qualified name of ``module:qualname``; either may be empty."""
    module, _, qualname = name.partition(":")
    return module, qualname


def find_or_none(module: str, qualname: str) -> Any:
    """Find what is stored in a loaded module under a qualified name now; None where nothing is.

    The path leads through modules and classes by what is stored in them, so no code of theirs runs.
    """
    value: Any = sys.modules.get(module)
    for name in qualname.split("."):
        if not isinstance(value, (ModuleType, type)):
            return None
        value = vars(value).get(name)
    return value


def find(module: str, qualname: str, *, load: bool = False) -> Any:
    """Find what was defined in a module under a qualified name, as :func:`find_or_none` does.

    A name that is not there yet, because another thread is importing the module, is waited for.

    Args:
        module: the module's name.
        qualname: the name in it, with dots where classes are nested.
        load: whether a module that this process has not loaded is imported, which runs its code.

    Raises:
        ObjectNotFound: there is no such object, or the module is not loaded.
        ImportError: ``load`` was given and the import failed; it may raise anything else, too.
    """
    found = find_or_none(module, qualname)
    if found is None and (load or sys.modules.get(module) is not None):
        importlib.import_module(module)  # waits for the end of an import that is under way
        found = find_or_none(module, qualname)
    if found is None:
        raise ObjectNotFound(module, qualname)
    return found


def attribute(module: ModuleType, qualname: str) -> Any:
    """Find what a person has named in a module, through objects of any kind and by their own ``__getattr__``.

    Raises:
        ObjectNotFound: there is no such object.
    """
    found: Any = module
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ObjectNotFound(module.__name__, qualname, part, dir(found)) from None
    return found
