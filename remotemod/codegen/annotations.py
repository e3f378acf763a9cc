"""Spell types as Python, importing what they need."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence

from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import Group, Node, Seq, flat
from remotemod.codegen.literals import literal, string
from remotemod.interface.annotations import TypeVariable
from remotemod.interface.types import (
    PARAMETER_LIST,
    AnyType,
    DictType,
    FutureType,
    ListType,
    NamedTupleType,
    OptionalType,
    OtherType,
    PlainType,
    Style,
    Symbol,
    TensorType,
    TupleType,
    Type,
    UnionType,
)

__all__ = ["annotation", "is_nameless", "spell"]

_LIGHT = frozenset({"typing", "collections", "enum", "numbers", "types", "pathlib", "builtins"})
_LITERAL = Symbol("typing", "Literal")
_MEANS_THE_CLASS = (Symbol("typing", "Self"), Symbol("typing_extensions", "Self"))
"""Annotations of the class itself, which would mean the stub's class in a stub."""
_ANYTHING_GOES = {
    # The number of arguments of a bare generic, for strict type checkers; 0: ``[..., Any]``.
    **dict.fromkeys(("list", "set", "frozenset", "type"), 1),
    **dict.fromkeys(("collections.deque", "collections.Counter"), 1),
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "dict"), 2),
    **{
        f"collections.abc.{name}": count
        for count, names in {
            0: ("Callable",),
            1: (
                *(
                    "Iterable",
                    "Iterator",
                    "Collection",
                    "Container",
                    "Sequence",
                    "Reversible",
                    "Set",
                ),
                *("MutableSequence", "MutableSet", "Awaitable", "AsyncIterable", "AsyncIterator"),
                *("KeysView", "ValuesView"),
            ),
            2: ("Mapping", "MutableMapping", "ItemsView"),
            3: ("Generator", "Coroutine"),
        }.items()
        for name in names
    },
}


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
    return string(flat(spell(tree, imports, evaluated=False)))


def _needs_user_code(tree: Type) -> bool:
    if isinstance(tree, NamedTupleType):
        return tree.symbol.importable and tree.symbol.module.partition(".")[0] != "torch"
    if isinstance(tree, OtherType) and tree.symbol.importable:
        top = tree.symbol.module.partition(".")[0]
        return top != "torch" and top not in _LIGHT
    return False


def is_nameless(tree: Type) -> bool:
    """Whether no expression can name ``tree``: it is spelled ``Any``."""
    if isinstance(tree, TypeVariable):
        return True
    if not isinstance(tree, OtherType):
        return False
    if tree.symbol in _MEANS_THE_CLASS:
        return True
    if tree.symbol == PARAMETER_LIST or tree.symbol == Symbol("", "..."):
        return False
    if tree.symbol == _LITERAL:
        return not all(_is_literal_text(str(arg)) for arg in tree.args)
    if not tree.symbol.module and not hasattr(builtins, tree.symbol.qualname):
        return True
    # ``Float[Tensor, "batch channels"]``: text in brackets means something to its library alone.
    return any(isinstance(arg, OtherType) and arg.opaque and is_nameless(arg) for arg in tree.args)


def _is_literal_text(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def spell(tree: Type, imports: Imports, *, evaluated: bool) -> Node:
    """``tree`` as a Python expression; the style of the source (``list`` or ``List``) is kept."""

    def sub(inner: Type) -> Node:
        return spell(inner, imports, evaluated=evaluated)

    match tree:
        case TensorType():
            return imports.name("torch", "Tensor")
        case PlainType(symbol=Symbol(module="torch", qualname=name)):
            return f"{imports.module('torch')}.{name}"
        case PlainType(symbol=symbol):
            return imports.symbol(symbol)
        case AnyType():
            return imports.name("typing", "Any")
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
            spelled = (*inner, "...") if variadic else inner or ("()",)
            return _subscript(_container("Tuple", style, imports), spelled)
        case NamedTupleType(symbol=symbol):
            return _symbol(symbol, imports, evaluated)
        case OtherType() if is_nameless(tree):
            return imports.name("typing", "Any")
        case OtherType(symbol=symbol, args=args) if symbol == PARAMETER_LIST:
            return Group("[", tuple(map(sub, args)), "]")
        case OtherType(symbol=symbol, args=args) if symbol == _LITERAL:
            texts = tuple(literal(str(arg), imports) for arg in args)
            return _subscript(imports.symbol(symbol), texts)
        case OtherType(symbol=symbol, args=args):
            return _other(symbol, tuple(map(sub, args)), imports, evaluated)
    raise TypeError(f"no spelling for {tree!r}")


def _container(name: str, style: Style, imports: Imports) -> str:
    return imports.builtin(name.lower()) if style == "builtin" else imports.name("typing", name)


def _subscript(head: str, items: Sequence[Node]) -> Node:
    return Seq((head, Group("[", tuple(items), "]", comma=len(items) > 1)))


def _union(items: tuple[Node, ...], style: Style, imports: Imports, optional: bool = False) -> Node:
    if style == "builtin":
        return " | ".join(map(flat, items))  # formatters differ on where to break one
    if optional:
        return _subscript(imports.name("typing", "Optional"), items[:1])
    return _subscript(imports.name("typing", "Union"), items)


def _symbol(symbol: Symbol, imports: Imports, evaluated: bool) -> str:
    if evaluated:
        return imports.symbol(symbol)
    return imports.checking(symbol) if symbol.importable else imports.name("typing", "Any")


def _other(symbol: Symbol, args: tuple[Node, ...], imports: Imports, evaluated: bool) -> Node:
    if not symbol.module and symbol.qualname == "...":
        return "..."
    count = _ANYTHING_GOES.get(str(symbol).removeprefix("builtins."))
    if not args and (count is not None or str(symbol) == "tuple"):
        # A bare container means "of anything", which strict type checkers require to be written.
        anything = imports.name("typing", "Any")
        if str(symbol) == "tuple":
            args = (anything, "...")
        else:
            args = (anything,) * count if count else ("...", anything)
    head = _symbol(symbol, imports, evaluated or symbol.module in ("", "builtins"))
    return _subscript(head, args) if args else head
