"""Turns a method's types into the schema of a dispatcher operator, which TorchScript can call."""

from __future__ import annotations

from remotemod.interface.model import Method
from remotemod.interface.naming import fresh
from remotemod.interface.types import (
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

__all__ = ["argument_schema", "result_schema", "type_schema"]


def type_schema(tree: Type) -> str:
    """``tree`` in the schema language; whatever it has no word for travels as ``Any``."""
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
            inner = type_schema(item)
            return inner if inner == "Any" else f"{inner}?"
        case ListType(item=item):
            return f"{type_schema(item)}[]"
        case DictType(key=key, value=value):
            return f"Dict({type_schema(key)}, {type_schema(value)})"
        case TupleType(items=items, variadic=False) if items:
            return f"({', '.join(map(type_schema, items))})"
        case NamedTupleType(fields=fields) if fields:
            return f"({', '.join(type_schema(t) for _, t in fields)})"
    return "Any"


def argument_schema(method: Method) -> str:
    """``(str ref, …)``: the reference to the remote module, then the method's arguments in order."""
    names = [a.name for a in method.arguments]
    parts = [f"str {fresh('ref', names)}"]
    for index, argument in enumerate(method.arguments):
        # The schema language knows ASCII identifiers alone.
        name = argument.name if argument.name.isascii() else fresh(f"arg{index}", names)
        parts.append(f"{type_schema(argument.type)} {name}")
    return f"({', '.join(parts)})"


def result_schema(returns: Type) -> str:
    """The result in one pair of parentheses, so that a tuple stays one value instead of several."""
    return "()" if isinstance(returns, NoneType) else f"({type_schema(returns)})"
