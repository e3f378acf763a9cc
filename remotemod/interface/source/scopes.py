"""Follow names through source files, imports and re-exports, as running them would, without running them."""

from __future__ import annotations

import builtins
from contextlib import AbstractContextManager
from dataclasses import dataclass

from remotemod.interface.absent_torch import is_torchs, known
from remotemod.interface.annotations import canonical
from remotemod.interface.source.bindings import Assigned, Import, Names, TypeParameter
from remotemod.interface.source.file import Source
from remotemod.interface.source.program import (
    AS_WRITTEN,
    KNOWN_MODULES,
    KNOWN_NAMES,
    Program,
)
from remotemod.interface.source.syntax import BlockNames, Class, Function
from remotemod.interface.types import Symbol

__all__ = [
    "ClassDef",
    "Definition",
    "FunctionDef",
    "ModuleDef",
    "Named",
    "Scope",
    "TypeParameterDef",
    "VariableDef",
    "dereference",
]


@dataclass(frozen=True, slots=True)
class ModuleDef:
    """A module."""

    name: str


@dataclass(frozen=True, slots=True)
class Named:
    """Something known by name alone; ``found`` is False where no source could tell what it is.

    ``absent``: torch's source would tell, but torch is not installed.
    """

    symbol: Symbol
    found: bool = True
    absent: bool = False


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
        outer = self.scope.generic(self.node.type_parameters)
        return Scope(self.scope.program, self.scope.source, self.node.names, outer, prefix, self)


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
        outer = self.scope.generic(self.node.type_parameters)
        return Scope(self.scope.program, self.scope.source, self.node.names, outer, prefix)


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


@dataclass(frozen=True, slots=True)
class TypeParameterDef:
    """A type variable declared in brackets; nothing binds it at run time."""

    symbol: Symbol


Definition = ModuleDef | Named | ClassDef | FunctionDef | VariableDef | TypeParameterDef


@dataclass(frozen=True, eq=False)
class Scope:
    """A block with names: a module, a class body (``owner``), or a function's locals."""

    program: Program
    source: Source
    names: BlockNames
    parent: Scope | None = None
    prefix: str = ""
    owner: ClassDef | None = None

    @property
    def declares(self) -> bool:
        """Whether this is no block but the brackets of a generic definition."""
        return any(bindings == (TypeParameter(),) for bindings in self.names.table.values())

    @property
    def module(self) -> str:
        """The dotted name of the module the scope belongs to."""
        return self.source.module

    def generic(self, parameters: tuple[str, ...]) -> Scope:
        """This scope with type variables in front: what the inside of ``class A[T]`` sees."""
        if not parameters:
            return self
        names: BlockNames = Names({name: (TypeParameter(),) for name in parameters})
        return Scope(self.program, self.source, names, self, self.prefix)

    def resolve(self, dotted: str) -> Definition | None:
        """What a dotted name means here; None where nothing binds it."""
        head, *rest = dotted.split(".")
        found = self._lookup(head)
        for part in rest:
            if found is None:
                return None
            found = self._attribute(found, part)
        return found

    def _lookup(self, name: str) -> Definition | None:
        scope: Scope | None = self
        inner: Scope | None = self
        while scope is not None:
            # the names of a class body are not seen from the functions and classes inside it
            if scope is inner or scope.owner is None:
                found = scope.own(name)
                if found is not None:
                    return found
            if scope is inner and scope.declares:
                inner = scope.parent  # the brackets of a method's own def stand in its class
            scope = scope.parent
        return Named(Symbol("", name)) if hasattr(builtins, name) else None

    def own(self, name: str) -> Definition | None:
        """What this very block binds ``name`` to: the first alternative that can be followed."""
        unread: Definition | None = None
        with self.once(name) as first:
            if not first:
                return None
            for binding in self.names.table.get(name, ()):
                found = self._define(name, binding)
                if not isinstance(found, Named) or found.found:
                    return found
                unread = unread or found
            for star in reversed(self.names.stars):
                found_in_star = self._starred(star, name)
                if found_in_star is not None:
                    return found_in_star
        return unread

    def once(self, name: str) -> AbstractContextManager[bool]:
        """False inside of another such block for the same name."""
        return self.program.once(self.names, name)

    def _define(
        self, name: str, binding: Class | Function | Import | Assigned | TypeParameter
    ) -> Definition:
        match binding:
            case Class():
                return ClassDef(self, binding)
            case Function():
                return FunctionDef(self, binding)
            case Assigned():
                return VariableDef(self, name, binding)
            case TypeParameter():
                return TypeParameterDef(Symbol(self.module, name))
            case Import(name=None):
                return ModuleDef(binding.module)
        return self._imported(self._absolute(binding), binding.name or "")

    # --- imports ------------------------------------------------------------------------------

    def _imported(self, module: str, name: str) -> Definition:
        """What ``from module import name`` brings in here.

        What no source explains (a compiled module, one not installed) keeps the name by which the
        importing package knows it: that is the public one.
        """
        found = self._member(module, name)
        if found is None:
            return self._unexplained(Symbol(module, name))
        crossing = module.split(".")[0] != self.module.split(".")[0]
        if isinstance(found, Named) and not found.found and crossing:
            return Named(Symbol(module, name), found=False)
        return found

    def _unexplained(self, symbol: Symbol) -> Named:
        if not is_torchs(symbol) or not self.program.torch_is_absent:
            return Named(symbol, found=False)
        explained = known(symbol)
        return Named(symbol, absent=True) if explained is None else Named(explained)

    def _member(self, module: str, name: str) -> Definition | None:
        dotted = f"{module}.{name}"
        if dotted == "collections.abc" or dotted in KNOWN_MODULES:
            return ModuleDef(dotted)
        if module in AS_WRITTEN or dotted in KNOWN_NAMES:
            return Named(canonical(Symbol(module, name)))
        scope = self._scope_of(module)
        found = scope.own(name) if scope is not None else None
        if found is None and self.program.file(dotted) is not None:
            return ModuleDef(dotted)
        return found

    def _scope_of(self, module: str) -> Scope | None:
        source = self.program.source(module)
        return None if source is None else Scope(self.program, source, source.names)

    def _starred(self, star: Import, name: str) -> Definition | None:
        """What ``from module import *`` brings in under ``name``; None where it does not."""
        module = self._absolute(star)
        scope = self._scope_of(module)
        if scope is None:
            symbol = Symbol(module, name)
            absent = is_torchs(symbol) and self.program.torch_is_absent
            return self._unexplained(symbol) if absent and known(symbol) is not None else None
        exported = scope.names.exported
        if name.startswith("_") if exported is None else name not in exported:
            return None
        if module in AS_WRITTEN:
            return self._member(module, name) if name in scope.names.table else None
        return scope.own(name)

    def _attribute(self, owner: Definition, name: str) -> Definition | None:
        """What ``owner.name`` means here."""
        match dereference(owner):
            case ModuleDef(module):
                return self._imported(module, name)
            case ClassDef() as cls:
                return cls.body.own(name)
            case Named(symbol, absent=True):
                return self._unexplained(Symbol(symbol.module, f"{symbol.qualname}.{name}"))
            case Named(symbol, found) if symbol.module:
                return Named(Symbol(symbol.module, f"{symbol.qualname}.{name}"), found)
        return None

    def _absolute(self, statement: Import) -> str:
        """The full name of the module an import statement names."""
        if not statement.level:
            return statement.module
        parts = self.source.package.split(".")
        parts = parts[: len(parts) - statement.level + 1]
        return ".".join([*parts, *([statement.module] if statement.module else [])])


def dereference(found: Definition | None) -> Definition | None:
    """Follow a variable that is only another name for something."""
    while isinstance(found, VariableDef) and found.node.value is not None:
        value = found.node.value
        if not all(part.isidentifier() for part in value.split(".")):
            break
        with found.scope.once(f"={found.name}") as first:
            target = found.scope.resolve(value) if first else None
        if target is None:
            break
        found = target
    return found
