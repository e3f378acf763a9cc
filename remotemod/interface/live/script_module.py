"""Read a ScriptModule from the schemas TorchScript itself keeps of its methods."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from remotemod.errors import InterfaceError
from remotemod.interface.annotations import union
from remotemod.interface.defaults import from_value
from remotemod.interface.model import Argument, Interface, Kind, Method
from remotemod.interface.selection import NO_FORWARD
from remotemod.interface.types import (
    ANY,
    NONE,
    PLAIN_TYPES,
    TENSOR,
    DictType,
    FutureType,
    ListType,
    NamedTupleType,
    OtherType,
    Symbol,
    TupleType,
    Type,
)
from remotemod.objects import find_or_none
from remotemod.torch_compat.script import method_names, method_schema, qualified_name

__all__ = ["live_class", "read_script"]

_PLAIN: dict[str, Type] = {
    "TensorType": TENSOR,
    "AnyType": ANY,
    "PyObjectType": ANY,
    **{plain.script: plain for plain in PLAIN_TYPES if plain.script},
}
_MANGLED = re.compile(r"___torch_mangle_\d+\.?")


def read_script(module: Any, python_forward: Callable[[type], Method | None]) -> Interface:
    """The interface of a scripted, traced or loaded module.

    Args:
        module: the module.
        python_forward: reads the forward of the original class, for the overloaded forwards
            (``forward__0``, ``forward__1``) of which no single schema can tell.
    """
    symbol = _symbol(qualified_name(module))
    original = live_class(symbol)
    names = [n for n in method_names(module) if not n.startswith("_")]
    methods = [_read_schema(n, method_schema(module, n)) for n in names if "__" not in n]
    methods.sort(key=lambda method: method.name != "forward")
    if "forward" not in names:
        if not any(name.startswith("forward__") for name in names):
            raise InterfaceError(f"the script module {symbol} has no forward", how=NO_FORWARD)
        forward = python_forward(original) if original is not None else None
        methods.insert(0, forward or _ANY_FORWARD)
    name = symbol.qualname.rpartition(".")[2]
    return Interface(name, symbol.module, symbol.qualname, "script", tuple(methods))


_ANY_FORWARD = Method(
    "forward",
    (
        Argument("args", ANY, Kind.VAR_POSITIONAL, None, annotated=False),
        Argument("kwargs", ANY, Kind.VAR_KEYWORD, None, annotated=False),
    ),
    ANY,
    annotated=False,
)


def _read_schema(name: str, schema: Any) -> Method:
    arguments = tuple(
        Argument(
            a.name,
            _read_type(a.type),
            Kind.KEYWORD_ONLY if a.kwarg_only else Kind.POSITIONAL_OR_KEYWORD,
            from_value(a.default_value) if a.has_default_value() else None,
        )
        for a in schema.arguments[1:]
    )
    return Method(name, arguments, _read_type(schema.returns[0].type))


def _read_type(node: Any) -> Type:
    kind = node.kind()
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain
    match kind:
        case "OptionalType":
            return union((_read_type(node.getElementType()), NONE), "typing")
        case "UnionType":
            return union(tuple(map(_read_type, node.containedTypes())), "typing")
        case "ListType":
            return ListType(_read_type(node.getElementType()))
        case "DictType":
            return DictType(_read_type(node.getKeyType()), _read_type(node.getValueType()))
        case "FutureType":
            return FutureType(_read_type(node.getElementType()))
        case "TupleType":
            return _read_tuple(node)
    qualified = getattr(node, "qualified_name", None)
    if qualified is not None:
        return OtherType(_symbol(qualified()))
    return OtherType(Symbol("", str(node)))


def _read_tuple(node: Any) -> Type:
    items = tuple(map(_read_type, node.elements()))
    if not node.annotation_str.startswith("__torch__"):
        return TupleType(items)
    symbol = _symbol(node.annotation_str)
    cls = live_class(symbol)
    names = getattr(cls, "_fields", ())
    if cls is None or len(names) != len(items):
        return OtherType(symbol)
    return NamedTupleType(symbol, tuple(zip(names, items, strict=True)))


def _symbol(qualified: str) -> Symbol:
    """``__torch__.pkg.mod.___torch_mangle_3.Name`` as the Python name it was made from."""
    path = _MANGLED.sub("", qualified).removeprefix("__torch__.").split(".")
    for cut in range(len(path) - 1, 0, -1):
        if ".".join(path[:cut]) in sys.modules:
            return Symbol(".".join(path[:cut]), ".".join(path[cut:]))
    if len(path) == 1:
        return Symbol("__main__", path[0])
    return Symbol(".".join(path[:-1]), path[-1])


def live_class(symbol: Symbol) -> type | None:
    """The class that a symbol names in a module that is loaded; None if there is none."""
    found = find_or_none(symbol.module, symbol.qualname)
    return found if isinstance(found, type) else None
