"""What statements bind: the table of a block's names, and what each simple statement adds to it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import libcst as cst

from remotemod.interface.model import Kind

__all__ = [
    "Assigned",
    "Code",
    "Import",
    "Names",
    "Parameter",
    "TypeParameter",
    "read_simple",
    "type_parameters",
]

D = TypeVar("D")
"""The definitions that a block may hold: classes and functions, which have blocks of their own."""

Code = Callable[[cst.CSTNode], str]
"""Gives a node's text."""


@dataclass(frozen=True, slots=True)
class Import:
    """``import module`` (``name`` None) or ``from module import name``; ``level`` counts the leading dots."""

    module: str
    name: str | None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Assigned:
    """``name: annotation = value``, ``name = value`` or ``type name[parameters] = value``."""

    value: str | None
    annotation: str | None = None
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeParameter:
    """A name in the brackets of ``class A[T]`` or ``def f[T]``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as written."""

    name: str
    kind: Kind
    annotation: str | None
    default: str | None


@dataclass(slots=True)
class Names(Generic[D]):
    """What a block of statements binds.

    A later statement replaces an earlier one; the branches of one ``if`` or ``try`` stand beside
    each other, in order, and the first that can be resolved counts. So a class defined in ``try``
    wins over its fallback, and an import wins over its replacement exactly where it can be found.
    """

    table: dict[str, tuple[D | Import | Assigned | TypeParameter, ...]] = field(
        default_factory=dict
    )
    stars: list[Import] = field(default_factory=list)
    exported: list[str] | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    """Values of ``name.attribute = value`` statements, by their dotted target."""
    results: list[str] = field(default_factory=list)
    """What the ``return`` statements of a function's body give back."""

    def bind(self, name: str, binding: D | Import | Assigned | TypeParameter) -> None:
        """Bind ``name`` anew."""
        self.table[name] = (binding,)

    def take(self, other: Names[D]) -> None:
        """Let everything ``other`` binds replace what is bound here."""
        self.table.update(other.table)
        self._take_rest(other)

    def take_branches(self, branches: Sequence[Names[D]]) -> None:
        """Bind what the branches of one statement bind, as alternatives; what was bound before comes last."""
        for name in dict.fromkeys(name for branch in branches for name in branch.table):
            found = [b for branch in branches for b in branch.table.get(name, ())]
            self.table[name] = (*found, *self.table.get(name, ()))
        for branch in branches:
            self._take_rest(branch)

    def _take_rest(self, other: Names[D]) -> None:
        self.stars += other.stars
        self.attributes.update(other.attributes)
        self.results += other.results
        if other.exported is not None:
            self.exported = [*(self.exported or ()), *other.exported]


def type_parameters(found: cst.TypeParameters | None) -> tuple[str, ...]:
    """The names a definition declares in brackets."""
    return tuple(each.param.name.value for each in found.params) if found is not None else ()


def read_simple(node: cst.BaseSmallStatement, names: Names[Any], code: Code) -> None:
    """Enter what a simple statement binds into ``names``."""
    match node:
        case cst.Import():
            for alias in node.names:
                path = code(alias.name)
                bound = alias.evaluated_alias
                names.bind(
                    bound or path.split(".")[0], Import(path if bound else path.split(".")[0], None)
                )
        case cst.ImportFrom():
            _read_import_from(node, names, code)
        case cst.Assign():
            for target in node.targets:
                _assign(target.target, code(node.value), None, names, code)
        case cst.AnnAssign():
            value = code(node.value) if node.value is not None else None
            _assign(node.target, value, code(node.annotation.annotation), names, code)
        case cst.AugAssign(target=cst.Name("__all__")):
            names.exported = [*(names.exported or ()), *_strings(code(node.value))]
        case cst.TypeAlias():
            parameters = type_parameters(node.type_parameters)
            names.bind(node.name.value, Assigned(code(node.value), None, parameters))
        case cst.Del(target=cst.Name(name)):
            names.table.pop(name, None)
        case cst.Return():
            names.results.append(code(node.value) if node.value is not None else "None")


def _read_import_from(node: cst.ImportFrom, names: Names[Any], code: Code) -> None:
    module = code(node.module) if node.module is not None else ""
    level = len(node.relative)
    if isinstance(node.names, cst.ImportStar):
        names.stars.append(Import(module, None, level))
        return
    for alias in node.names:
        name = code(alias.name)
        names.bind(alias.evaluated_alias or name, Import(module, name, level))


def _assign(
    target: cst.BaseExpression,
    value: str | None,
    annotation: str | None,
    names: Names[Any],
    code: Code,
) -> None:
    match target:
        case cst.Name(name):
            if value is None and name in names.table:
                return
            names.bind(name, Assigned(value, annotation))
            if name == "__all__" and value is not None:
                names.exported = _strings(value)
        case cst.Attribute() if value is not None:
            names.attributes[code(target)] = value


def _strings(text: str) -> list[str]:
    """The strings of a literal list; nothing where it is computed."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return (
        [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
    )
