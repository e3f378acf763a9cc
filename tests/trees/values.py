"""Nested values of every kind with tensors in them, for hypothesis, and what tells whether two are alike."""

from __future__ import annotations

import functools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CellType, FunctionType, MethodType, SimpleNamespace
from typing import Any, NamedTuple

import attr
import attrs
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from remotemod.trees.objects import slot_names

__all__ = ["alike", "nested", "shape_of"]


class Row(list[Any]):
    """A list with attributes."""


class Table(OrderedDict[Any, Any]):
    """An ordered dict with attributes."""


class Bag(set[Any]):
    """A set with attributes."""


class Named(NamedTuple):
    """A named tuple."""

    a: Any
    b: Any = None


class Marked(Named):
    """A named tuple with attributes."""


class Plain:
    """An object."""

    def method(self) -> Any:
        """Its attributes."""
        return vars(self)


class Slotted:
    """An object with slots, some of which are empty."""

    __slots__ = ("__private", "a", "empty")

    def __init__(self, a: Any, b: Any) -> None:
        self.a = a
        self.__private = b


class SlottedToo(Slotted):
    """An object with slots and a dict."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen dataclass with slots, one of which its constructor does not take."""

    a: Any
    b: Any = field(init=False, default=0)


@dataclass
class Record:
    """A dataclass."""

    a: Any
    b: Any


class Selective:
    """An object that leaves something out of its pickle."""

    def __init__(self, a: Any) -> None:
        self.a = a
        self.left_out = iter(lambda: 0, 0)

    def __getstate__(self) -> dict[str, Any]:
        return {"a": self.a}


@attrs.define
class Defined:
    """A class of attrs with slots, and so with hooks of its own."""

    a: Any
    b: Any


@attrs.frozen
class FrozenAttrs:
    """One that cannot be assigned to."""

    a: Any
    b: Any


@attr.s(eq=False)
class OldAttrs:
    """One without slots, as older code has them."""

    a = attr.ib()
    b = attr.ib()


def with_attributes(value: Any, item: Any) -> Any:
    """A value with an attribute more."""
    value.extra = item
    return value


def closure(a: Any, b: Any) -> Callable[[], Any]:
    """A function that holds its values as it may."""

    def function(c: Any = b, *, d: Any = a) -> Any:
        return a, c, d

    return with_attributes(function, b)


def module(a: Any, b: Any) -> nn.Module:
    """A module with a parameter and other things."""
    made: Any = nn.Linear(2, 2)
    made.a, made.rest = a, [b]
    return made  # type: ignore[no-any-return]


def _pair(make: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    return lambda pair: make(*pair)


_PAIRS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: [a, b],
    lambda a, b: (a, b),
    lambda a, b: with_attributes(Row([a]), b),
    lambda a, b: {"a": a, 2: b},
    lambda a, b: with_attributes(Table(a=a), b),
    lambda a, b: defaultdict(None, a=a, b=b),
    lambda a, b: Counter({"a": a, "b": b}),
    lambda a, b: deque([a, b], 2),
    lambda a, b: {1: a, 2: b}.values(),
    lambda a, b: OrderedDict(a=a, b=b).items(),
    lambda a, b: functools.partial(Named, a, b=b),
    lambda a, b: slice(a, b),
    lambda a, b: with_attributes(Marked(a), b),
    lambda a, b: with_attributes(Plain(), [a, b]),
    lambda a, b: with_attributes(Plain(), [a, b]).method,
    lambda a, b: with_attributes(SlottedToo(a, b), b),
    lambda a, b: SimpleNamespace(a=a, b=b),
    Slotted,
    Defined,
    FrozenAttrs,
    OldAttrs,
    Named,
    Record,
    closure,
    module,
    lambda a, b: [Frozen(a), b],
    lambda a, b: [Selective(a), b],
]

_tensors = st.builds(
    lambda number, grad: torch.full((2,), float(number), requires_grad=grad),
    st.integers(0, 9),
    st.booleans(),
)
_leaves = _tensors | st.integers() | st.text(max_size=3) | st.none()
_hashable = st.frozensets(_tensors, max_size=3) | st.sets(_tensors, max_size=3).map(Bag)


def nested() -> st.SearchStrategy[Any]:
    """Values of every kind, in each other; some things occur twice, some hold themselves."""
    return st.recursive(
        _leaves | _hashable,
        lambda inner: (
            st.tuples(st.sampled_from(_PAIRS), inner, inner).map(lambda t: t[0](t[1], t[2]))
            | inner.map(lambda item: [item, item])
            | inner.map(_in_itself)
        ),
        max_leaves=8,
    )


def _in_itself(item: Any) -> list[Any]:
    found = [item]
    found.append((found,))
    return found


def alike(one: Any, other: Any, same: Callable[[Tensor, Tensor], bool]) -> bool:
    """Whether two values have the same types, structure and sharing, and tensors that are the same to a function."""
    return _Alike(same).are(one, other)


class _Alike:
    def __init__(self, same: Callable[[Tensor, Tensor], bool]) -> None:
        self._same = same
        self._twins: dict[int, tuple[Any, Any]] = {}

    def are(self, one: Any, other: Any) -> bool:
        if type(one) is not type(other) and not isinstance(one, Tensor):
            return False
        if type(one) in (int, str, type(None), type, bool, float):
            return bool(one == other)
        known = self._twins.get(id(one))
        if known is not None:
            return known[1] is other
        if not isinstance(one, (tuple, frozenset, slice)):  # which cannot be told from copies
            self._twins[id(one)] = one, other
        if isinstance(one, Tensor):
            return self._same(one, other)
        return self._all(shape_of(one), shape_of(other))

    def _all(self, ones: list[Any], others: list[Any]) -> bool:
        return len(ones) == len(others) and all(map(self.are, ones, others))


def shape_of(value: Any) -> list[Any]:
    """What a value is made of, looked up without the code under test."""
    items: list[Any] = []
    if isinstance(value, dict):
        items = [*value.keys(), *value.values(), getattr(value, "default_factory", None)]
    elif isinstance(value, (set, frozenset)):
        items = sorted(
            value, key=lambda tensor: (float(tensor.detach()[0]), tensor.requires_grad, id(tensor))
        )
    elif isinstance(value, (list, tuple, deque)) or type(value).__name__.endswith(
        ("values", "items")
    ):
        items = [*value, getattr(value, "maxlen", None)]
    elif isinstance(value, slice):
        items = [value.start, value.stop, value.step]
    elif isinstance(value, functools.partial):
        items = [value.func, value.args, value.keywords]
    elif isinstance(value, CellType):
        items = [value.cell_contents]
    elif isinstance(value, MethodType):
        items = [value.__self__]
    elif isinstance(value, FunctionType):
        items = [*(value.__closure__ or ()), value.__defaults__, value.__kwdefaults__]
    slots = [getattr(value, name, None) for name in slot_names(type(value))]
    attributes = getattr(value, "__dict__", {})
    return [*items, *slots, *(attributes[n] for n in sorted(attributes) if n != "left_out")]
