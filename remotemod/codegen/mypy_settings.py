"""The settings of a stub for type checkers, which excuse defaults that do not fit their annotations."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from remotemod.codegen.reserved import YIELDING
from remotemod.interface.model import Argument, Method
from remotemod.interface.types import (
    NONE,
    AnyType,
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    OtherType,
    PlainType,
    TupleType,
    Type,
    UnionType,
)

__all__ = ["checker_settings", "default_fits"]


def checker_settings(methods: Iterable[Method]) -> tuple[str, ...]:
    """The ``# mypy:`` lines of a stub: defaults stay as the interface has them, and are excused.

    ``x: Tensor = None`` needs ``implicit-optional``; ``x: int = 0.5`` needs more. A result from
    another worker is of the declared type, though no checker can see it. A method may override the remote module's own.
    """
    methods = tuple(methods)
    arguments = [a for m in methods for a in m.arguments if a.annotated and a.default is not None]
    settings = []
    codes = ["no-any-return"]
    if any(_is_none(a) and not _takes_none(a.type) for a in arguments):
        settings.append("implicit-optional")
    if any(not _is_none(a) and not default_fits(a) for a in arguments):
        codes += ["assignment", "dict-item", "list-item"]
    if any(m.name in YIELDING for m in methods):
        codes.append("override")
    settings.append(f'disable-error-code="{", ".join(codes)}"')
    return tuple(settings)


def _is_none(argument: Argument) -> bool:
    return argument.default is not None and argument.default.text == "None"


def _takes_none(tree: Type) -> bool:
    return tree == NONE or isinstance(tree, (AnyType, OptionalType))


def default_fits(argument: Argument) -> bool:
    """Whether a default visibly is of the parameter's type; what a name refers to cannot be seen."""
    if argument.default is None:
        return True
    if argument.default.form != "literal":
        return argument.default.form == "opaque" or isinstance(argument.type, AnyType)
    try:
        value = ast.literal_eval(argument.default.text)
    except ValueError:  # float("inf")
        value = 0.5
    return _matches(value, argument.type)


def _matches(value: object, tree: Type) -> bool:
    match tree:
        case AnyType():
            return True
        case OptionalType(item=item):
            return value is None or _matches(value, item)
        case UnionType(items=items):
            return any(_matches(value, item) for item in items)
        case PlainType(values=values):
            return type(value) in values
        case ListType(item=item):
            return isinstance(value, list) and all(_matches(v, item) for v in value)
        case DictType(key=key, value=item):
            return isinstance(value, dict) and all(
                _matches(k, key) and _matches(v, item) for k, v in value.items()
            )
        case NamedTupleType() | OtherType():
            return False
        case TupleType(items=items, variadic=True):
            return isinstance(value, tuple) and all(_matches(v, items[0]) for v in value)
        case TupleType(items=items):
            if not isinstance(value, tuple) or len(value) != len(items):
                return False
            return all(_matches(v, item) for v, item in zip(value, items, strict=True))
    return False
