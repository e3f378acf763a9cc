"""Loads source files as imports ask for them, and follows what the imports bring in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.interface.annotations import canonical
from remotemod.interface.live.absent_torch import is_torchs, known
from remotemod.interface.source.bindings import Import
from remotemod.interface.source.file import Source, read_source_file
from remotemod.interface.source.locate import find_module, search_path
from remotemod.interface.source.scopes import (
    ClassDef,
    Definition,
    ModuleDef,
    Named,
    Scope,
    VariableDef,
)
from remotemod.interface.types import Symbol

__all__ = ["Program"]

_AS_WRITTEN = {
    *("abc", "builtins", "collections", "collections.abc", "datetime", "decimal", "enum"),
    *("math", "numbers", "typing", "typing_extensions"),
}
"""Standard modules whose classes carry the very name they are imported by; reading them would be waste."""

_KNOWN_NAMES = {"torch.Tensor", "torch.device", "torch.dtype", "torch.jit.interface"}
_KNOWN_MODULES = {"torch.nn", "torch.nn.functional", "torch.jit", "torch.futures"}
"""torch's busiest names, spared the reading of its huge ``__init__``."""


@dataclass(eq=False)
class Program:
    """All files read so far, each parsed once, and the path that imports are looked up on.

    Args:
        roots: folders to search before the working folder and ``sys.path``.
    """

    roots: tuple[str, ...] = ()
    _sources: dict[str, Source | None] = field(default_factory=dict)
    _files: dict[str, Path | None] = field(default_factory=dict)
    _following: set[tuple[int, str]] = field(default_factory=set)

    @cached_property
    def _path(self) -> tuple[str, ...]:
        return search_path(*self.roots)

    def add(self, module: str, file: Path) -> Scope:
        """Read ``file`` as ``module``."""
        source = self._sources.get(module)
        if source is None or source.file != file:
            source = self._sources[module] = read_source_file(module, file)
        return Scope(self, source, source.names)

    def scope(self, module: str) -> Scope | None:
        """The names of a module; None where it has no Python source."""
        if module not in self._sources:
            self._sources[module] = self._import(module)
        source = self._sources[module]
        return Scope(self, source, source.names) if source is not None else None

    def _import(self, module: str) -> Source | None:
        """The source of an imported module; None where there is none that can be read."""
        file = self._file(module)
        try:
            source = read_source_file(module, file) if file is not None else None
            return source if source is not None and source.names is not None else None
        except InterfaceError:
            return None  # not ours to complain about: its names stay unexplained

    def _file(self, module: str) -> Path | None:
        if module not in self._files:
            self._files[module] = find_module(module, self._path)
        return self._files[module]

    @contextmanager
    def once(self, scope: Scope, name: str) -> Iterator[bool]:
        """False while this very name is already being followed: an import cycle, an alias of itself."""
        key = (id(scope.names), name)
        first = key not in self._following
        self._following.add(key)
        try:
            yield first
        finally:
            if first:
                self._following.discard(key)

    def imported(self, module: str, name: str, importer: Scope) -> Definition:
        """What ``from module import name`` brings into ``importer``.

        What no source explains (a compiled module, one not installed) keeps the name by which the
        importing package knows it: that is the public one.
        """
        found = self._member(module, name)
        if found is None:
            return self._unexplained(Symbol(module, name))
        crossing = module.split(".")[0] != importer.module.split(".")[0]
        if isinstance(found, Named) and not found.found and crossing:
            return Named(Symbol(module, name), found=False)
        return found

    @cached_property
    def torch_is_absent(self) -> bool:
        """Whether torch is not installed, so that its source explains nothing."""
        return self._file("torch") is None

    def _unexplained(self, symbol: Symbol) -> Named:
        if not is_torchs(symbol) or not self.torch_is_absent:
            return Named(symbol, found=False)
        explained = known(symbol)
        return Named(symbol, absent=True) if explained is None else Named(explained)

    def _member(self, module: str, name: str) -> Definition | None:
        dotted = f"{module}.{name}"
        if dotted == "collections.abc" or dotted in _KNOWN_MODULES:
            return ModuleDef(dotted)
        if module in _AS_WRITTEN or dotted in _KNOWN_NAMES:
            return Named(canonical(Symbol(module, name)))
        scope = self.scope(module)
        found = scope.own(name) if scope is not None else None
        if found is None and self._file(dotted) is not None:
            return ModuleDef(dotted)
        return found

    def starred(self, star: Import, name: str, importer: Scope) -> Definition | None:
        """What ``from module import *`` brings in under ``name``; None where it does not."""
        module = importer.absolute(star)
        scope = self.scope(module)
        if scope is None:
            symbol = Symbol(module, name)
            absent = is_torchs(symbol) and self.torch_is_absent and known(symbol) is not None
            return self._unexplained(symbol) if absent else None
        exported = scope.names.exported
        if name.startswith("_") if exported is None else name not in exported:
            return None
        if module in _AS_WRITTEN:
            return self._member(module, name) if name in scope.names.table else None
        return scope.own(name)

    def attribute(self, owner: Definition, name: str, seen_from: Scope) -> Definition | None:
        """What ``owner.name`` means."""
        match self.dereference(owner):
            case ModuleDef(module):
                return self.imported(module, name, seen_from)
            case ClassDef() as cls:
                return cls.body.own(name)
            case Named(symbol, absent=True):
                return self._unexplained(Symbol(symbol.module, f"{symbol.qualname}.{name}"))
            case Named(symbol, found) if symbol.module:
                return Named(Symbol(symbol.module, f"{symbol.qualname}.{name}"), found)
        return None

    def dereference(self, found: Definition | None) -> Definition | None:
        """Follow a variable that is only another name for something."""
        while isinstance(found, VariableDef) and found.node.value is not None:
            value = found.node.value
            if not all(part.isidentifier() for part in value.split(".")):
                break
            with self.once(found.scope, f"={found.name}") as first:
                target = found.scope.resolve(value) if first else None
            if target is None:
                break
            found = target
        return found
