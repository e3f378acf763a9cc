"""Follows names through source files, imports and re-exports, as running them would, without running them."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remotemod.interface.source.bindings import Assigned, Import, Names, TypeParameter
from remotemod.interface.source.syntax import Class, Function
from remotemod.interface.types import Symbol

if TYPE_CHECKING:
    from remotemod.interface.source.bindings import Client
    from remotemod.interface.source.file import Source
    from remotemod.interface.source.program import Program

__all__ = [
    "ClassDef",
    "Definition",
    "FunctionDef",
    "ModuleDef",
    "Named",
    "Scope",
    "TypeParameterDef",
    "VariableDef",
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
    names: Names
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
        names = Names({name: (TypeParameter(),) for name in parameters})
        return Scope(self.program, self.source, names, self, self.prefix)

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

    def _define(self, name: str, binding: Client) -> Definition:
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
        return self.program.imported(self.absolute(binding), binding.name or "", self)

    def absolute(self, statement: Import) -> str:
        """The full name of the module an import statement names."""
        if not statement.level:
            return statement.module
        parts = self.source.package.split(".")
        parts = parts[: len(parts) - statement.level + 1]
        return ".".join([*parts, *([statement.module] if statement.module else [])])
