"""Import what a target names, for live reading (``--import``)."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from remotemod.errors import InterfaceError
from remotemod.hints import did_you_mean
from remotemod.interface.locate import locate
from remotemod.objects import ObjectNotFound, attribute

__all__ = ["import_target"]


def import_target(target: str) -> object:
    """The live module, class or instance behind ``target``; this runs the module's code."""
    location = locate(target)
    module = _imported(location.module, location.root, str(location.file))
    if location.qualname is None:
        return module
    try:
        found: object = attribute(module, location.qualname)
    except ObjectNotFound as error:
        raise InterfaceError(
            f"{module.__name__} has no {location.qualname} once imported",
            how=did_you_mean(error.missing, error.names)
            or "name something the module binds when it runs",
            file=str(location.file),
        ) from None
    return found


def _imported(name: str, root: str, file: str) -> ModuleType:
    added = root not in sys.path
    if added:
        sys.path.insert(0, root)
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an import may raise anything, SystemExit too
        raise InterfaceError(
            f"importing {name} failed: {type(error).__name__}: {error}",
            how="fix the import, or read the source without --import",
            file=file,
        ) from error
    finally:
        if added and root in sys.path:
            sys.path.remove(root)
