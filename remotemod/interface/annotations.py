"""Turn an annotation's text into a Type, so that source and live reading share one grammar."""

from __future__ import annotations

import ast
import typing
from collections.abc import Callable
from dataclasses import dataclass

from remotemod.interface.types import (
    ANY,
    NONE,
    PARAMETER_LIST,
    PLAIN_TYPES,
    TENSOR,
    DictType,
    FutureType,
    ListType,
    NamedTupleType,
    OptionalType,
    OtherType,
    Style,
    Symbol,
    TupleType,
    Type,
    UnionType,
)
from remotemod.torch_compat.paths import FUTURES, TENSORS, is_public_in_torch

__all__ = [
    "Resolver",
    "TypeVariable",
    "apply",
    "canonical",
    "literal",
    "opaque",
    "parse",
    "substitute",
    "union",
]

Resolver = Callable[[str], "Symbol | Type | None"]
"""What a dotted name means: a class or special form, a finished type (an alias), or nothing known."""


@dataclass(frozen=True, slots=True)
class TypeVariable(OtherType):
    """A ``TypeVar``: a generic alias puts a type in its place, elsewhere it is like any other name."""


_PLAIN: dict[str, Type] = {
    **dict.fromkeys(TENSORS, TENSOR),
    "typing.Any": ANY,
    **{plain.name: plain for plain in PLAIN_TYPES if plain.name != "Number"},  # it has no such name
}
_LISTS = {"list", "typing.List"}
_DICTS = {"dict", "typing.Dict"}
_TUPLES = {"tuple", "typing.Tuple"}


def parse(text: str, resolve: Resolver) -> Type:
    """The type that ``text`` spells; text that is no type becomes an opaque OtherType."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return opaque(text)
    return _parse(node, resolve)


def opaque(text: str) -> OtherType:
    """A type that is nothing but its own text."""
    return OtherType(Symbol("", " ".join(text.split())))


def canonical(symbol: Symbol) -> Symbol:
    """The one name for what several modules export, as ``cls.__module__`` would mostly show it."""
    module, name = symbol.module, symbol.qualname
    if module == "builtins":
        return Symbol("", name)
    if is_public_in_torch(module, name):
        return Symbol("torch", name)
    if module in ("typing", "typing_extensions"):
        original = getattr(typing, name, None)
        origin = getattr(original, "__origin__", None)
        if isinstance(origin, type) and name not in ("List", "Dict", "Tuple"):
            return canonical(Symbol(origin.__module__, origin.__qualname__))
        return Symbol("typing", name) if original is not None else symbol
    return symbol


def apply(symbol: Symbol, args: tuple[Type, ...] | None = None) -> Type:
    """The type a name means, with ``args`` in brackets behind it (None: no brackets)."""
    symbol = canonical(symbol)
    name = str(symbol)
    style: Style = "typing" if symbol.module == "typing" else "builtin"
    if args is None:
        return _apply_bare(symbol, name, style)
    if name in _LISTS and len(args) == 1:
        return ListType(args[0], style)
    if name in _DICTS and len(args) == 2:
        return DictType(args[0], args[1], style)
    if name in _TUPLES:
        if len(args) == 2 and args[1] == _ELLIPSIS:
            return TupleType(args[:1], variadic=True, style=style)
        return TupleType(args, style=style)
    if name in FUTURES and len(args) == 1:
        return FutureType(args[0])
    if name == "typing.Optional" and len(args) == 1:
        return union((args[0], NONE), style)
    if name == "typing.Union" and args:
        return union(args, style)
    if name == "typing.Annotated" and args:
        return args[0]
    return _PLAIN.get(name) or OtherType(symbol, args)


def _apply_bare(symbol: Symbol, name: str, style: Style) -> Type:
    if name in _LISTS:
        return ListType(ANY, style)
    if name in _DICTS:
        return DictType(ANY, ANY, style)
    if name in _TUPLES:
        return TupleType((ANY,), variadic=True, style=style)
    if name in FUTURES:
        return FutureType(ANY)
    return _PLAIN.get(name) or OtherType(symbol)


_ELLIPSIS = opaque("...")


def union(items: tuple[Type, ...], style: Style) -> Type:
    """Any of ``items``, flattened, each once, with None drawn out into an Optional, as typing does it."""
    flat: list[Type] = []
    optional = False
    for item in items:
        if isinstance(item, OptionalType):
            optional, item = True, item.item
        for each in item.items if isinstance(item, UnionType) else (item,):
            if each == NONE:
                optional = True
            elif each not in flat:
                flat.append(each)
    if not flat:
        return NONE
    inner = flat[0] if len(flat) == 1 else UnionType(tuple(flat), style)
    return OptionalType(inner, style) if optional else inner


def literal(texts: tuple[str, ...]) -> Type:
    """``Literal[...]`` of the given expressions."""
    return OtherType(Symbol("typing", "Literal"), tuple(OtherType(Symbol("", t)) for t in texts))


def substitute(generic: Type, args: tuple[Type, ...]) -> Type | None:
    """``generic`` with its type variables, in order of appearance, replaced; None where they do not fit."""
    variables = list(dict.fromkeys(t for t in generic.walk() if isinstance(t, TypeVariable)))
    if not variables or len(variables) != len(args):
        return None
    return _replace(generic, dict(zip(variables, args, strict=True)))


def _replace(node: Type, new: dict[TypeVariable, Type]) -> Type:
    if isinstance(node, TypeVariable):
        return new.get(node, node)
    below = tuple(_replace(child, new) for child in node.children())
    match node:
        case OptionalType():
            return union((*below, NONE), node.style)
        case UnionType():
            return union(below, node.style)
        case ListType():
            return ListType(below[0], node.style)
        case DictType():
            return DictType(below[0], below[1], node.style)
        case TupleType():
            return TupleType(below, node.variadic, node.style)
        case FutureType():
            return FutureType(below[0])
        case NamedTupleType():
            names = (name for name, _ in node.fields)
            return NamedTupleType(node.symbol, tuple(zip(names, below, strict=True)))
        case OtherType():
            return OtherType(node.symbol, below)
        case _:
            return node


def _parse(node: ast.expr, resolve: Resolver) -> Type:
    match node:
        case ast.Constant(value=None):
            return NONE
        case ast.Constant(value=str(text)):
            return parse(text, resolve)
        case ast.Name() | ast.Attribute():
            return _named(node, None, resolve)
        case ast.BinOp(op=ast.BitOr()):
            return union((_parse(node.left, resolve), _parse(node.right, resolve)), "builtin")
        case ast.Subscript():
            return _subscript(node, resolve)
        case ast.List(elts=items):
            return OtherType(PARAMETER_LIST, tuple(_parse(item, resolve) for item in items))
        case ast.Call(func=ast.Name("type"), args=[ast.Constant(value=None)], keywords=[]):
            return NONE
        case _:
            return opaque(ast.unparse(node))


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value)
        return head and f"{head}.{node.attr}"
    return None


def _named(node: ast.expr, args: tuple[Type, ...] | None, resolve: Resolver) -> Type:
    dotted = _dotted(node)
    found = resolve(dotted) if dotted is not None else None
    if isinstance(found, Symbol):
        return apply(found, args)
    if found is None:
        return OtherType(Symbol("", dotted or ast.unparse(node)), args or ())
    if args is None:
        return found
    applied = substitute(found, args)
    if applied is None and isinstance(found, NamedTupleType):
        return found
    return applied or OtherType(Symbol("", dotted or str(found)), args)


def _subscript(node: ast.Subscript, resolve: Resolver) -> Type:
    inner = node.slice
    items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    dotted = _dotted(node.value)
    found = resolve(dotted) if dotted is not None else None
    if isinstance(found, Symbol):
        known = str(canonical(found))
        if known == "typing.Literal":
            return literal(tuple(_literal_text(item, resolve) for item in items))
        if known == "typing.Annotated" and items:
            return _parse(items[0], resolve)
    return _named(node.value, tuple(_parse(item, resolve) for item in items), resolve)


def _literal_text(node: ast.expr, resolve: Resolver) -> str:
    dotted = _dotted(node)
    if dotted is not None:
        head, _, member = dotted.rpartition(".")
        owner = resolve(head) if head else None
        if isinstance(owner, Symbol):
            return f"{canonical(owner)}.{member}"
    return ast.unparse(node)
