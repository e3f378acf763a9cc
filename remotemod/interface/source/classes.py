"""Work out what a class inherits, from source alone: its MRO, its methods, a named tuple's fields."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from remotemod.interface.absent_torch import is_torchs, may_be_module
from remotemod.interface.selection import MODULE_NAMES
from remotemod.interface.source.assigned_methods import made_method
from remotemod.interface.source.bindings import Assigned
from remotemod.interface.source.program import Program
from remotemod.interface.source.scopes import (
    ClassDef,
    Definition,
    FunctionDef,
    Named,
    Scope,
    VariableDef,
    dereference,
)
from remotemod.interface.types import Symbol

__all__ = [
    "Base",
    "absent_bases",
    "ancestors",
    "field_table",
    "find_method",
    "is_enum",
    "is_named",
    "linearize",
]

Base = ClassDef | Symbol
"""A class whose source was found, or the mere name of one."""

_ENUMS = {"enum.Enum", "enum.IntEnum", "enum.StrEnum", "enum.Flag", "enum.IntFlag"}


def _name(base: Base) -> str:
    return str(base.symbol if isinstance(base, ClassDef) else base)


def is_named(base: Base, *names: str) -> bool:
    """Whether ``base`` goes by one of the dotted ``names``."""
    return _name(base) in names


def absent_bases(mro: Sequence[Base], program: Program) -> list[str]:
    """Bases of torch's that may have methods of the interface, where torch is not installed to tell."""
    found, below = [], True
    for base in mro:
        if is_named(base, *MODULE_NAMES):
            below = False
        elif not isinstance(base, ClassDef) and is_torchs(base):
            # unread, a module stands behind nn.Module, from which it derives
            found += [str(base)] if below or may_be_module([str(base)]) else []
    return found if found and program.torch_is_absent else []


def is_enum(mro: Sequence[Base]) -> bool:
    """Whether a class with this MRO is an enumeration."""
    return any(_name(base) in _ENUMS for base in mro)


def ancestors(cls: ClassDef) -> list[Base]:
    """The direct base classes, in order."""
    return [_base(cls.scope, text) for text in cls.node.bases]


def _base(scope: Scope, text: str) -> Base:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return Symbol("", text)
    if isinstance(node, ast.Subscript):  # Generic[T], Base[int]
        node = node.value
    path = ast.unparse(node)
    found = scope.resolve(path) if path.replace(".", "").isidentifier() else None
    found = dereference(found)
    match found:
        case ClassDef():
            return found
        case Named(symbol):
            return symbol
        case VariableDef():
            return found.symbol
    return Symbol("", text)


def linearize(cls: ClassDef) -> list[Base]:
    """The method resolution order (C3), as far as source can tell."""
    with cls.body.once("<mro>") as first:
        if not first:
            return [cls]
        bases = ancestors(cls)
        orders: list[list[Base]] = [
            linearize(base) if isinstance(base, ClassDef) else [base] for base in bases
        ]
    return [cls, *_merge([*orders, bases])]


def _merge(orders: list[list[Base]]) -> list[Base]:
    merged: list[Base] = []
    orders = [list(order) for order in orders if order]
    while orders:
        head = _good_head(orders) or orders[0][0]
        merged.append(head)
        orders = [[b for b in order if _name(b) != _name(head)] for order in orders]
        orders = [order for order in orders if order]
    return merged


def _good_head(orders: list[list[Base]]) -> Base | None:
    tails = {_name(base) for order in orders for base in order[1:]}
    return next((order[0] for order in orders if _name(order[0]) not in tails), None)


def find_method(cls: ClassDef, name: str) -> FunctionDef | None:
    """The function that the class's own body binds ``name`` to, aliases followed; None for anything else."""
    body = cls.body
    found = body.own(name)
    if isinstance(found, VariableDef) and found.node.value is not None:
        value = found.node.value
        found = made_method(body, name, value, _aliased) or _aliased(body, value)
    return found if isinstance(found, FunctionDef) else None


def _aliased(scope: Scope, value: str) -> Definition | None:
    """``forward = other``, ``forward = Base.other``, where the other may itself be inherited."""
    owner, _, name = value.strip().rpartition(".")
    cls = dereference(scope.resolve(owner)) if owner else None
    if isinstance(cls, ClassDef):
        for base in linearize(cls):
            found = find_method(base, name) if isinstance(base, ClassDef) else None
            if found is not None:
                return found
        return None
    if not value.replace(".", "").isidentifier():
        return None
    found_here = scope.resolve(value)
    if isinstance(found_here, VariableDef) and found_here.node.value not in (None, value):
        return dereference(found_here)
    return found_here


def field_table(cls: ClassDef) -> list[tuple[str, str | None, Scope]] | None:
    """A named tuple's fields: name, annotation, and the scope it is read in; None for other classes."""
    mro = linearize(cls)
    for position, base in enumerate(mro):
        if is_named(base, "typing.NamedTuple"):
            declared = mro[position - 1]
            if isinstance(declared, ClassDef):
                return [
                    (name, binding.annotation, declared.body)
                    for name, (binding, *_) in declared.node.names.table.items()
                    if isinstance(binding, Assigned) and binding.annotation is not None
                ]
    return None
