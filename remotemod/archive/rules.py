"""Works out where named tuples are in a method's values, and makes them of the plain tuples that operators pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from remotemod.archive.manifest import Rule, SavedTuple
from remotemod.codegen.expressions import holds_named_tuples
from remotemod.interface.types import (
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    TupleType,
    Type,
)
from remotemod.wire.placeholders import named_tuple_class

__all__ = ["Rules", "maker"]

Make = Callable[[Any], Any]


class Rules:
    """The rules of one interface, and the named tuples that they speak of."""

    def __init__(self) -> None:
        self._numbers: dict[NamedTupleType, int] = {}
        self._saved: dict[int, SavedTuple] = {}

    @property
    def tuples(self) -> tuple[SavedTuple, ...]:
        """The named tuples, by number."""
        return tuple(self._saved[number] for number in range(len(self._saved)))

    def rule(self, tree: Type) -> Rule:
        """The rule of a type."""
        if not holds_named_tuples(tree):
            return None
        match tree:
            case OptionalType(item=item):
                return ["optional", self.rule(item)]
            case ListType(item=item):
                return ["list", self.rule(item)]
            case DictType(value=value):
                return ["dict", self.rule(value)]
            case TupleType(items=items):
                return ["tuple", [self.rule(item) for item in items]]
            case NamedTupleType():
                return ["record", self._number(tree)]
        return None

    def _number(self, tree: NamedTupleType) -> int:
        if tree not in self._numbers:
            number = self._numbers[tree] = len(self._numbers)
            self._saved[number] = SavedTuple(
                tree.symbol.module,
                tree.symbol.qualname,
                tuple(name for name, _ in tree.fields),
                tuple(self.rule(item) for _, item in tree.fields),
            )
        return self._numbers[tree]


def maker(rule: Rule, tuples: Sequence[SavedTuple]) -> Make | None:
    """Makes a value as the owner knows it of the one that an operator passes; None where that is the same."""
    if rule is None:
        return None
    kind, inner = rule
    if kind == "record":
        return _record(tuples[inner], tuples)
    if kind == "tuple":
        return _tuple([maker(each, tuples) for each in inner])
    make = maker(inner, tuples)
    assert make is not None
    if kind == "optional":
        return lambda value: None if value is None else make(value)
    if kind == "list":
        return lambda value: [make(item) for item in value]
    if kind == "dict":
        return lambda value: {key: make(item) for key, item in value.items()}
    raise ValueError(f"there is no rule '{kind}'")


def _tuple(makes: Sequence[Make | None]) -> Make:
    def make(value: Any) -> Any:
        pairs = zip(value, makes, strict=True)
        return tuple(item if each is None else each(item) for item, each in pairs)

    return make


def _record(saved: SavedTuple, tuples: Sequence[SavedTuple]) -> Make:
    plain = _tuple([maker(rule, tuples) for rule in saved.rules])
    place = saved.module, saved.qualname, saved.fields
    # The class is looked up anew each time: the user's own code may be imported later.
    return lambda value: tuple.__new__(named_tuple_class(*place), plain(value))
