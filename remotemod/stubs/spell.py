"""Spells types and defaults as Python, importing what they need."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from remotemod.interface.model import Default
from remotemod.interface.types import (
    AnyType,
    DeviceType,
    DictType,
    DtypeType,
    FutureType,
    ListType,
    NamedTupleType,
    NoneType,
    OptionalType,
    OtherType,
    ScalarType,
    StrType,
    Style,
    Symbol,
    TensorType,
    TupleType,
    Type,
    UnionType,
)
from remotemod.stubs.layout import Group, Node, Seq, flat
from remotemod.stubs.names import Imports

__all__ = ["annotation", "default", "spell"]

_LIGHT = frozenset({"typing", "collections", "enum", "numbers", "types", "pathlib", "builtins"})
_BARE = {"list": 1, "set": 1, "frozenset": 1, "type": 1, "dict": 2}


def annotation(tree: Type, imports: Imports, *, evaluated: bool) -> Node:
    """``tree`` as an annotation.

    Args:
        tree: the type.
        imports: collects what the annotation needs.
        evaluated: True where the names must be there at run time (TorchScript reads them);
            False puts an annotation that needs user code in quotes and imports it for type checkers alone.
    """
    if evaluated or not any(_needs_user_code(t) for t in tree.walk()):
        return spell(tree, imports, evaluated=True)
    return '"' + flat(spell(tree, imports, evaluated=False)).replace('"', "'") + '"'


def _needs_user_code(tree: Type) -> bool:
    if isinstance(tree, NamedTupleType):
        return tree.symbol.module.partition(".")[0] != "torch"
    if isinstance(tree, OtherType):
        top = tree.symbol.module.partition(".")[0]
        if not tree.symbol.module:
            return not _is_builtin(tree.symbol.qualname)
        return top != "torch" and top not in _LIGHT
    return False


def _is_builtin(name: str) -> bool:
    import builtins

    return hasattr(builtins, name)


def spell(tree: Type, imports: Imports, *, evaluated: bool) -> Node:
    """``tree`` as a Python expression; the style of the source (``list`` or ``List``) is kept."""

    def sub(inner: Type) -> Node:
        return spell(inner, imports, evaluated=evaluated)

    match tree:
        case TensorType():
            return imports.name("torch", "Tensor")
        case ScalarType(name="Number"):
            return imports.name("torch.types", "Number")
        case ScalarType(name=name):
            return name
        case StrType():
            return "str"
        case NoneType():
            return "None"
        case AnyType():
            return imports.name("typing", "Any")
        case DeviceType():
            return f"{imports.module('torch')}.device"
        case DtypeType():
            return f"{imports.module('torch')}.dtype"
        case FutureType(item=item):
            return _subscript(imports.abi("Future"), (sub(item),))
        case OptionalType(item=item, style=style):
            return _union((sub(item), "None"), style, imports, optional=True)
        case UnionType(items=items, style=style):
            return _union(tuple(map(sub, items)), style, imports)
        case ListType(item=item, style=style):
            return _subscript(_container("List", style, imports), (sub(item),))
        case DictType(key=key, value=value, style=style):
            return _subscript(_container("Dict", style, imports), (sub(key), sub(value)))
        case TupleType(items=items, variadic=variadic, style=style):
            inner: tuple[Node, ...] = tuple(map(sub, items))
            return _subscript(
                _container("Tuple", style, imports), (*inner, "...") if variadic else inner or ("()",)
            )
        case NamedTupleType(symbol=symbol):
            return _symbol(symbol, imports, evaluated)
        case OtherType(symbol=symbol, args=args):
            return _other(symbol, tuple(map(sub, args)), imports, evaluated)
    raise TypeError(f"no spelling for {tree!r}")


def _container(name: str, style: Style, imports: Imports) -> str:
    return name.lower() if style == "builtin" else imports.name("typing", name)


def _subscript(head: str, items: Sequence[Node]) -> Node:
    return Seq((head, Group("[", tuple(items), "]", comma=len(items) > 1)))


def _union(items: tuple[Node, ...], style: Style, imports: Imports, optional: bool = False) -> Node:
    if style == "builtin":
        parts: list[Node] = []
        for item in items:
            parts += [" | ", item] if parts else [item]
        return Seq(tuple(parts))
    if optional:
        return _subscript(imports.name("typing", "Optional"), items[:1])
    return _subscript(imports.name("typing", "Union"), items)


def _symbol(symbol: Symbol, imports: Imports, evaluated: bool) -> str:
    if evaluated:
        return imports.symbol(symbol)
    if not symbol.importable:
        return symbol.qualname.rpartition(".")[2]
    return imports.checking(symbol)


def _other(symbol: Symbol, args: tuple[Node, ...], imports: Imports, evaluated: bool) -> Node:
    if not symbol.module:
        text = symbol.qualname
        if args or text not in _BARE:
            return _subscript(text, args) if args else text
        symbol = Symbol("builtins", text)
    if symbol.module == "builtins" and not args and symbol.qualname in (*_BARE, "tuple"):
        # A bare container means "of anything"; strict type checkers want that said.
        anything = imports.name("typing", "Any")
        count = _BARE.get(symbol.qualname)
        args = (anything, "...") if count is None else (anything,) * count
    head = symbol.qualname if symbol.module == "builtins" else _symbol(symbol, imports, evaluated)
    return _subscript(head, args) if args else head


def default(value: Default, imports: Imports) -> str:
    """A default value as a Python expression; the opaque one is the sentinel that leaves an argument out."""
    if value.form == "opaque":
        return imports.abi("LEFT_OUT")
    if value.form == "literal":
        return _double_quoted(value.text)
    # The longest import that the dotted path starts with.
    module = max((m for m in value.imports if value.text.startswith(m + ".")), key=len)
    rest = value.text.removeprefix(module + ".")
    if module == "torch":
        return f"{imports.module('torch')}.{rest}"
    top, _, below = rest.partition(".")
    alias = imports.name(module, top)
    return f"{alias}.{below}" if below else alias


def _double_quoted(text: str) -> str:
    """Literals as the formatters write them: ``"a"`` where repr says ``'a'``."""
    tree = ast.parse(text, mode="eval")
    return _literal(tree.body)


def _literal(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(value)):
            return string(value)
        case ast.Tuple(elts=elts):
            inner = ", ".join(map(_literal, elts))
            return f"({inner},)" if len(elts) == 1 else f"({inner})"
        case ast.List(elts=elts):
            return f"[{', '.join(map(_literal, elts))}]"
        case ast.Dict(keys=keys, values=values):
            pairs = [f"{_literal(k)}: {_literal(v)}" for k, v in zip(keys, values, strict=True) if k]
            return "{" + ", ".join(pairs) + "}"
        case ast.Call(func=ast.Name(id=name), args=args):
            return f"{name}({', '.join(map(_literal, args))})"
        case ast.Constant(value=bytes(value)):
            return _quotes(repr(value)[1:], "b")
    return ast.unparse(node)


def string(value: str) -> str:
    """A string literal in double quotes where that needs no more escapes."""
    return _quotes(repr(value), "")


def _quotes(text: str, prefix: str) -> str:
    inner = text[1:-1]
    if text[0] == "'" and '"' not in inner:
        return f'{prefix}"{inner}"'.replace("\\'", "'")
    return prefix + text
