"""Follows names through source files, imports and re-exports, as running them would, without running them."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from remotemod.interface.annotations import canonical
from remotemod.interface.locate import find_module, search_path
from remotemod.interface.source_file import Source, read_source_file
from remotemod.interface.source_syntax import (
    Assigned,
    Binding,
    Class,
    Function,
    Import,
    Names,
)
from remotemod.interface.types import Symbol

__all__ = [
    "ClassDef",
    "Definition",
    "FunctionDef",
    "ModuleDef",
    "Named",
    "Program",
    "Scope",
    "VariableDef",
]

_AS_WRITTEN = {
    *("abc", "builtins", "collections", "collections.abc", "datetime", "decimal", "enum"),
    *("math", "numbers", "typing", "typing_extensions"),
}
"""Standard modules whose classes carry the very name they are imported by; reading them would be waste."""

_KNOWN_NAMES = {"torch.Tensor", "torch.device", "torch.dtype", "torch.jit.interface"}
_KNOWN_MODULES = {"torch.nn", "torch.nn.functional", "torch.jit", "torch.futures"}
"""torch's busiest names, spared the reading of its huge ``__init__``."""


@dataclass(frozen=True, slots=True)
class ModuleDef:
    """A module."""

    name: str


@dataclass(frozen=True, slots=True)
class Named:
    """Something known by name alone; ``found`` is False where no source could tell what it is."""

    symbol: Symbol
    found: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class ClassDef:
    """A class, in the scope that holds its statement."""

    scope: Scope
    node: Class

    @property
    def symbol(self) -> Symbol:
        """The class's ``__module__`` and ``__qualname__``."""
        override = self.node.names.table.get("__module__", ())
        module = self.scope.module
        for binding in override:
            if isinstance(binding, Assigned) and binding.value is not None:
                module = binding.value.strip("\"'")
        return Symbol(module, self.scope.prefix + self.node.name)

    @property
    def body(self) -> Scope:
        """The scope of the class's own statements."""
        prefix = f"{self.scope.prefix}{self.node.name}."
        return Scope(
            self.scope.program, self.scope.source, self.node.names, self.scope, prefix, self
        )


@dataclass(frozen=True, slots=True, eq=False)
class FunctionDef:
    """A function, in the scope that holds its statement."""

    scope: Scope
    node: Function

    @property
    def symbol(self) -> Symbol:
        """The function's ``__module__`` and ``__qualname__``."""
        return Symbol(self.scope.module, self.scope.prefix + self.node.name)

    @property
    def body(self) -> Scope:
        """The scope of the function's locals."""
        prefix = f"{self.scope.prefix}{self.node.name}.<locals>."
        return Scope(self.scope.program, self.scope.source, self.node.names, self.scope, prefix)


@dataclass(frozen=True, slots=True, eq=False)
class VariableDef:
    """A variable, in the scope that assigns it."""

    scope: Scope
    name: str
    node: Assigned

    @property
    def symbol(self) -> Symbol:
        """Where the variable can be imported from."""
        return Symbol(self.scope.module, self.scope.prefix + self.name)


Definition = ModuleDef | Named | ClassDef | FunctionDef | VariableDef


@dataclass(frozen=True, eq=False)
class Scope:
    """A block with names: a module, a class body (``owner``), or a function's locals."""

    program: Program
    source: Source
    names: Names
    parent: Scope | None = None
    prefix: str = ""
    owner: ClassDef | None = None

    @property
    def module(self) -> str:
        """The dotted name of the module the scope belongs to."""
        return self.source.module

    def resolve(self, dotted: str) -> Definition | None:
        """What a dotted name means here; None where nothing binds it."""
        head, *rest = dotted.split(".")
        found = self._lookup(head)
        for part in rest:
            if found is None:
                return None
            found = self.program.attribute(found, part, self)
        return found

    def _lookup(self, name: str) -> Definition | None:
        scope: Scope | None = self
        while scope is not None:
            # the names of a class body are not seen from the functions and classes inside it
            if scope is self or scope.owner is None:
                found = scope.own(name)
                if found is not None:
                    return found
            scope = scope.parent
        return Named(Symbol("", name)) if hasattr(builtins, name) else None

    def own(self, name: str) -> Definition | None:
        """What this very block binds ``name`` to: the first alternative that can be followed."""
        unread: Definition | None = None
        with self.program.once(self, name) as first:
            if not first:
                return None
            for binding in self.names.table.get(name, ()):
                found = self._define(name, binding)
                if not isinstance(found, Named) or found.found:
                    return found
                unread = unread or found
            for star in reversed(self.names.stars):
                found_in_star = self.program.starred(star, name, self)
                if found_in_star is not None:
                    return found_in_star
        return unread

    def _define(self, name: str, binding: Binding) -> Definition:
        match binding:
            case Class():
                return ClassDef(self, binding)
            case Function():
                return FunctionDef(self, binding)
            case Assigned():
                return VariableDef(self, name, binding)
            case Import(name=None):
                return ModuleDef(binding.module)
        return self.program.imported(self.absolute(binding), binding.name or "", self)

    def absolute(self, statement: Import) -> str:
        """The full name of the module an import statement names."""
        if not statement.level:
            return statement.module
        parts = self.source.package.split(".")
        parts = parts[: len(parts) - statement.level + 1]
        return ".".join([*parts, *([statement.module] if statement.module else [])])


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
            file = self._file(module)
            self._sources[module] = read_source_file(module, file) if file is not None else None
        source = self._sources[module]
        return Scope(self, source, source.names) if source is not None else None

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
            return Named(Symbol(module, name), found=False)
        crossing = module.split(".")[0] != importer.module.split(".")[0]
        if isinstance(found, Named) and not found.found and crossing:
            return Named(Symbol(module, name), found=False)
        return found

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
            return None
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
