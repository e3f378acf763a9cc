"""Convert an operator's arguments to the method's own: named tuples arrive as plain ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from remotemod.interface.types import (
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    TupleType,
    Type,
)

__all__ = ["ClassOf", "Pack", "keyword_names", "packer"]

Pack = Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]
"""Makes ``(args, kwargs)`` as they are sent."""

ClassOf = Callable[[NamedTupleType], type]
"""Finds the class of a named tuple."""

_Make = Callable[[Any], Any]


def keyword_names(method: Callable[..., Any]) -> tuple[str, ...]:
    """For each parameter of a method its name if it is keyword-only, else an empty text."""
    _, *parameters = inspect.signature(method).parameters.values()
    return tuple(p.name if p.kind is inspect.Parameter.KEYWORD_ONLY else "" for p in parameters)


def packer(types: Sequence[Type], keywords: Sequence[str], class_of: ClassOf) -> Pack:
    """The function that packs the arguments of an operator.

    Args:
        types: their types.
        keywords: the names of those that travel by name, empty for the others.
        class_of: finds the class of a named tuple.
    """
    makes = [_maker(tree, class_of) for tree in types]
    plan = tuple(zip(makes, keywords, strict=True))
    if not any(makes) and not any(keywords):
        return lambda *values: (values, {})

    def pack(*values: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for value, (make, keyword) in zip(values, plan, strict=True):
            argument = value if make is None else make(value)
            if keyword:
                kwargs[keyword] = argument
            else:
                args.append(argument)
        return tuple(args), kwargs

    return pack


def _maker(tree: Type, class_of: ClassOf) -> _Make | None:
    """The function that makes the named tuples in a value; None where there are none."""
    if not any(isinstance(t, NamedTupleType) for t in tree.walk()):
        return None
    match tree:
        case NamedTupleType(fields=fields):
            plain = _items([_maker(item, class_of) for _, item in fields])
            record = tree
            return lambda value: tuple.__new__(class_of(record), plain(value))
        case TupleType(items=items):
            return _items([_maker(item, class_of) for item in items])
        case OptionalType(item=item) | ListType(item=item) | DictType(value=item):
            make = _maker(item, class_of)
            assert make is not None
            if isinstance(tree, OptionalType):
                return lambda value: None if value is None else make(value)
            if isinstance(tree, ListType):
                return lambda value: [make(inner) for inner in value]
            return lambda value: {key: make(inner) for key, inner in value.items()}
    return None  # what travels as Any holds named tuples as they are


def _items(makes: Sequence[_Make | None]) -> _Make:
    def make(value: Any) -> Any:
        pairs = zip(value, makes, strict=True)
        return tuple(item if convert is None else convert(item) for item, convert in pairs)

    return make
