"""Find the source file behind a target without running any of it, not even a package's ``__init__``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.hints import did_you_mean

__all__ = ["Location", "find_module", "locate", "search_path"]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a target's source is: its file, its dotted module name, and the name inside, if one was given.

    ``root`` is the folder that must be searched first so that the file's own imports resolve.
    """

    file: Path
    module: str
    qualname: str | None
    root: str


def locate(target: str) -> Location:
    """The place that ``pkg.mod:Name``, ``path/to/file.py:Name``, or either without a name, points to."""
    importlib.invalidate_caches()  # files may be new since the last question
    head, colon, name = target.rpartition(":")
    if not colon or os.sep in name or "/" in name:
        head, name = target, ""
    if not head:
        raise InterfaceError(
            f"{target!r} names no module", how="write it as pkg.mod:Name or path/to/file.py:Name"
        )
    qualname = name or None
    if head.endswith((".py", ".pyi")) or os.sep in head or "/" in head:
        return _locate_file(head, qualname)
    return _locate_module(head, qualname)


def _locate_file(path: str, qualname: str | None) -> Location:
    file = Path(path)
    if file.is_dir():
        file = file / "__init__.py"
    if not file.is_file():
        folder = file.parent
        near = [p.name for p in folder.glob("*.py")] if folder.is_dir() else []
        raise InterfaceError(
            f"there is no file {path}",
            how=did_you_mean(file.name, near) or "check the path",
            file=path,
        )
    file = Path(os.path.abspath(file))
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return Location(file, ".".join(parts) or file.stem, qualname, str(folder))


def _locate_module(module: str, qualname: str | None) -> Location:
    path = search_path()
    file = find_module(module, path)
    if file is not None:
        root = file.parents[module.count(".") + (file.stem == "__init__")]
        return Location(file, module, qualname, str(root))
    known = module
    while "." in known:
        known, _, missing = known.rpartition(".")
        if find_module(known, path) is not None:
            guess = (
                "" if qualname else f" or, for a class, write {known}:{module[len(known) + 1 :]}"
            )
            raise InterfaceError(
                f"module {known} has no submodule {missing}",
                how=(did_you_mean(missing, _submodules(known, path)) or "check the name") + guess,
            )
    if _spec(module, path) is not None:
        raise InterfaceError(
            f"module {module} has no Python source to read",
            how="read the live object instead: remotemod.read_interface(the_class)",
        )
    raise InterfaceError(
        f"there is no module named {module}",
        how=did_you_mean(module, _top_level(path))
        or "run from the folder that holds it, install it, or give the file's path",
    )


def search_path(*first: str) -> tuple[str, ...]:
    """Where modules are looked for: ``first``, the working folder, then ``sys.path``."""
    entries = [*first, os.getcwd(), *(entry or os.getcwd() for entry in sys.path)]
    return tuple(dict.fromkeys(entries))


def find_module(module: str, path: Sequence[str]) -> Path | None:
    """The source file of a dotted module name; None where there is none, or none in Python."""
    spec = _spec(module, tuple(path))
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _spec(module: str, path: tuple[str, ...]) -> ModuleSpec | None:
    parent, _, _ = module.rpartition(".")
    if not parent:
        found = PathFinder.find_spec(module, path)
        return found if found is not None and found.origin else _other_finders(module) or found
    package = _spec(parent, path)
    if package is None or package.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(module, list(package.submodule_search_locations))


def _other_finders(module: str) -> ModuleSpec | None:
    """Ask what editable installs put on ``sys.meta_path``; a finder only says where, it runs nothing."""
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is None or finder is PathFinder:
            continue
        spec = find_spec(module, None, None)
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _submodules(package: str, path: Sequence[str]) -> list[str]:
    spec = _spec(package, tuple(path))
    return _python_names((spec and spec.submodule_search_locations) or ())


def _top_level(path: Sequence[str]) -> list[str]:
    return [*sys.stdlib_module_names, *_python_names(path)]


def _python_names(folders: Iterable[str]) -> list[str]:
    names: list[str] = []
    for folder in folders:
        if os.path.isdir(folder):
            names += [entry.removesuffix(".py") for entry in os.listdir(folder)]
    return [name for name in names if name.isidentifier()]
