"""Turns a method's types into the schema of a dispatcher operator, which TorchScript can call."""

from __future__ import annotations

from remotemod.interface.model import Method
from remotemod.interface.naming import fresh
from remotemod.interface.types import (
    ANY,
    DeviceType,
    DictType,
    DtypeType,
    ListType,
    NamedTupleType,
    NoneType,
    OptionalType,
    ScalarType,
    StrType,
    TensorType,
    TupleType,
    Type,
)

__all__ = ["argument_schema", "is_loose", "result_schema"]


def argument_schema(method: Method) -> str:
    """``(str ref, …)``: the reference to the remote module, then the method's arguments in order."""
    names = [a.name for a in method.arguments]
    parts = [f"str {fresh('ref', names)}"]
    for index, argument in enumerate(method.arguments):
        # The schema language knows ASCII identifiers alone, and takes some words for itself.
        usable = argument.name.isascii() and argument.name not in _WORDS
        name = argument.name if usable else fresh(f"arg{index}", names)
        parts.append(f"{_schema(argument.type)} {name}")
    return f"({', '.join(parts)})"


def result_schema(returns: Type) -> str:
    """The result in one pair of parentheses, so that a tuple stays one value instead of several."""
    return "()" if isinstance(returns, NoneType) else f"({_schema(returns)})"


def is_loose(tree: Type) -> bool:
    """Whether a value travels as ``Any`` though its type says more, so that it must be refined again.

    ``Any`` does not go below a list or dict: to TorchScript a list of an enum is no list of Any.
    """
    if tree == ANY:
        return False
    return any(t != ANY and _known(t) is None for t in tree.walk())


def _schema(tree: Type) -> str:
    return "Any" if is_loose(tree) else _known(tree) or "Any"


def _known(tree: Type) -> str | None:
    """``tree`` in the schema language; None where it has no word for the node itself."""
    match tree:
        case TensorType():
            return "Tensor"
        case ScalarType(name="Number"):
            return "Scalar"
        case ScalarType(name=name):
            return name
        case StrType():
            return "str"
        case NoneType():
            return "NoneType"
        case DeviceType():
            return "Device"
        case DtypeType():
            return "ScalarType"
        case OptionalType(item=item):
            return "Any" if item == ANY else f"{_schema(item)}?"
        case ListType(item=item):
            return f"{_schema(item)}[]"
        case DictType(key=key, value=value):
            return f"Dict({_schema(key)}, {_schema(value)})"
        case TupleType(items=items, variadic=False) if items:
            return f"({', '.join(map(_schema, items))})"
        case NamedTupleType(fields=fields) if fields:
            return f"({', '.join(_schema(t) for _, t in fields)})"
    return None


_WORDS = frozenset({"None", "True", "False", "inf", "nan"})
