"""Give names in source their meaning as types and as default values."""

from __future__ import annotations

import ast
from collections.abc import Collection

from remotemod.interface.absent_torch import NeedsTorch
from remotemod.interface.annotations import Resolver, TypeVariable, canonical, parse
from remotemod.interface.defaults import Lookup, Reference, Unwritable, evaluate, well_known
from remotemod.interface.source.bindings import Assigned
from remotemod.interface.source.classes import absent_bases, field_table, is_enum, linearize
from remotemod.interface.source.scopes import (
    ClassDef,
    Definition,
    FunctionDef,
    Named,
    Scope,
    VariableDef,
)
from remotemod.interface.types import ANY, NamedTupleType, Symbol, Type

__all__ = ["lookup_in", "type_in"]


def type_in(scope: Scope, text: str) -> Type:
    """The type that an annotation's text means in ``scope``."""
    return parse(text, _resolver(scope))


def _resolver(scope: Scope) -> Resolver:
    def resolve(dotted: str) -> Symbol | Type | None:
        return _meaning(scope.resolve(dotted))

    return resolve


def _meaning(found: Definition | None) -> Symbol | Type | None:
    match found:
        case Named(symbol, absent=True):
            raise NeedsTorch(str(symbol))
        case Named(symbol):
            return canonical(symbol)
        case ClassDef():
            return _class(found)
        case FunctionDef():
            return found.symbol
        case VariableDef():
            return _variable(found)
    return None


def _class(found: ClassDef) -> Symbol | Type:
    fields = field_table(found)
    unseen = absent_bases(linearize(found), found.scope.program) if fields is None else []
    if unseen:
        raise NeedsTorch(unseen[0])
    if fields is None:
        made = _made_base(found)
        return canonical(found.symbol) if made is None else NamedTupleType(found.symbol, made)
    with found.body.once("<fields>") as first:
        if not first:
            return found.symbol
        return NamedTupleType(
            found.symbol, tuple((n, type_in(s, t) if t else ANY) for n, t, s in fields)
        )


def _made_base(found: ClassDef) -> tuple[tuple[str, Type], ...] | None:
    """The fields of a class derived from ``namedtuple(...)``, called in place or before."""
    for base in linearize(found):
        if not isinstance(base, ClassDef):
            continue
        for text in base.node.bases:
            node = ast.parse(text.strip(), mode="eval").body
            made: Symbol | Type | None = None
            if isinstance(node, ast.Call):
                made = _called(VariableDef(base.scope, base.node.name, Assigned(text)), node)
            elif isinstance(node, ast.Name | ast.Attribute):
                variable = base.scope.resolve(ast.unparse(node))
                made = _variable(variable) if isinstance(variable, VariableDef) else None
            if isinstance(made, NamedTupleType):
                return made.fields
    return None


def _variable(found: VariableDef) -> Symbol | Type | None:
    """An alias, a type variable, a new type, or a class that is computed at run time."""
    value = found.node.value
    if value is None:
        return None
    with found.scope.once(f"type {found.name}") as first:
        if not first:
            return None
        try:
            node = ast.parse(value.strip(), mode="eval").body
        except SyntaxError:
            return None
        if isinstance(node, ast.Call):
            return _called(found, node)
        if isinstance(node, ast.Name | ast.Attribute):
            return _meaning(found.scope.resolve(ast.unparse(node)))
        return type_in(found.scope, value)


def _called(found: VariableDef, node: ast.Call) -> Symbol | Type:
    function = found.scope.resolve(ast.unparse(node.func))
    maker = str(canonical(function.symbol)) if isinstance(function, Named) else ""
    if maker == "typing.TypeVar":
        return TypeVariable(found.symbol)
    if maker in ("typing.NamedTuple", "collections.namedtuple") and len(node.args) == 2:
        fields = dict(_made_fields(found, node.args[1]))
        return NamedTupleType(
            found.symbol, tuple((fields | _annotated_later(found, fields)).items())
        )
    return found.symbol


def _annotated_later(found: VariableDef, fields: Collection[str]) -> dict[str, Type]:
    """``Name.__annotations__ = {...}``, TorchScript's way to type the fields of a namedtuple."""
    text = found.scope.names.attributes.get(f"{found.name}.__annotations__", "{}")
    node = ast.parse(text.strip(), mode="eval").body
    if not isinstance(node, ast.Dict):
        return {}
    return {
        key.value: type_in(found.scope, ast.unparse(value))
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value in fields
    }


def _made_fields(found: VariableDef, node: ast.expr) -> list[tuple[str, Type]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [(name, ANY) for name in node.value.replace(",", " ").split()]
    fields: list[tuple[str, Type]] = []
    for item in node.elts if isinstance(node, ast.List | ast.Tuple) else []:
        match item:
            case ast.Constant(value=str(name)):
                fields.append((name, ANY))
            case ast.Tuple(elts=[ast.Constant(value=str(name)), hint]):
                fields.append((name, type_in(found.scope, ast.unparse(hint))))
    return fields


def lookup_in(scope: Scope) -> Lookup:
    """What names in a default's expression stand for in ``scope``."""

    def lookup(dotted: str) -> object:
        found = scope.resolve(dotted)
        match found:
            case Named(symbol, absent=absent):
                return _named_value(canonical(symbol), absent)
            case ClassDef() | FunctionDef() if "<locals>" not in found.symbol.qualname:
                return Reference.to(found.symbol)
            case VariableDef():
                return _variable_value(found)
        owner, _, attribute = dotted.rpartition(".")
        member = scope.resolve(owner) if attribute in ("value", "name") else None
        if isinstance(member, VariableDef) and _is_member(member):
            return _assigned_value(member) if attribute == "value" else member.name
        raise Unwritable(dotted)

    return lookup


def _named_value(symbol: Symbol, absent: bool) -> object:
    if not symbol.module or symbol.module in ("collections", "collections.abc"):
        return Reference.to(symbol)
    try:
        return well_known(str(symbol))
    except Unwritable:
        if absent:
            raise NeedsTorch(str(symbol)) from None
        raise


def _variable_value(found: VariableDef) -> object:
    if _is_member(found):
        return Reference.to(found.symbol)
    return _assigned_value(found)


def _is_member(found: VariableDef) -> bool:
    owner = found.scope.owner
    return owner is not None and is_enum(linearize(owner))


def _assigned_value(found: VariableDef) -> object:
    with found.scope.once(f"value {found.name}") as first:
        if not first or found.node.value is None:
            raise Unwritable(found.name)
        return evaluate(found.node.value, lookup_in(found.scope))
