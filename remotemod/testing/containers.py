"""Values of every kind that tensors travel in, for the contract's tests of their gradients."""

from __future__ import annotations

import functools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["CONTAINERS", "Applies", "Container", "Hidden", "Puts"]


class Row(list[Any]):
    """A list with an attribute."""

    def __init__(self, x: Tensor) -> None:
        super().__init__([1])
        self.x = x


class Table(dict[str, Any]):
    """A dict with an attribute."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(kind=1)
        self.x = x


class Pair(tuple[Any, ...]):
    """A tuple of a class of its own."""


class Named(NamedTuple):
    """A named tuple."""

    x: Tensor
    note: str = ""


class Slotted:
    """A class with slots, one of which is private."""

    __slots__ = ("__inner", "note")

    def __init__(self, x: Tensor) -> None:
        self.__inner = [x]

    def inner(self) -> Tensor:
        """The tensor."""
        x: Tensor = self.__inner[0]
        return x


@dataclass(frozen=True)
class Frozen:
    """A frozen dataclass with a field that its constructor does not take."""

    x: Tensor
    twice: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", [self.x, self.x])


@dataclass(slots=True)
class SlottedData:
    """A dataclass with slots."""

    x: Tensor


class Plain:
    """An object with attributes, in which it stands itself."""

    def __init__(self, x: Tensor) -> None:
        self.parts = {"x": x}
        self.me = self

    def inner(self) -> Tensor:
        """The tensor."""
        return self.me.parts["x"]


class Selective(Plain):
    """An object that leaves out of its pickle what cannot be pickled."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(x)
        self.open = iter(lambda: 0, 0)

    def __getstate__(self) -> dict[str, Any]:
        return {name: item for name, item in vars(self).items() if name != "open"}


class Model(nn.Module):
    """A module that holds a tensor which is no parameter of it."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x


class Hidden:
    """An object that says itself how it is pickled, so that nobody knows what it holds."""

    def __init__(self, x: Tensor) -> None:
        self.cache = {"k": x}

    def __reduce__(self) -> tuple[Any, ...]:
        return Hidden, (self.cache["k"],)


def _closure(x: Tensor) -> Callable[[], Tensor]:
    return lambda: x


def _default(x: Tensor) -> Callable[[], Tensor]:
    def function(y: Tensor = x) -> Tensor:
        return y

    return function


def _cycle(x: Tensor) -> list[Any]:
    cycle: list[Any] = [x]
    cycle.append(cycle)
    return cycle


class Container(NamedTuple):
    """A kind of value.

    Attributes:
        put: makes one with a tensor in it.
        take: gives the tensor in it.
    """

    put: Callable[[Tensor], Any]
    take: Callable[[Any], Tensor]


def _first(box: Any) -> Any:
    return next(iter(box))


def _x(box: Any) -> Any:
    return box.x


def _called(box: Any) -> Any:
    return box()


CONTAINERS: dict[str, Container] = {
    "list": Container(lambda x: [[x]], lambda box: _first(box[0])),
    "tuple": Container(lambda x: (1, (x,)), lambda box: _first(box[1])),
    "named tuple": Container(Named, _x),
    "tuple of a class": Container(lambda x: Pair([x]), _first),
    "list of a class": Container(Row, _x),
    "dict": Container(lambda x: {"a": {1: x}}, lambda box: box["a"][1]),
    "dict of a class": Container(Table, _x),
    "key of a dict": Container(lambda x: {x: 1}, _first),
    "ordered dict": Container(lambda x: OrderedDict(a=x), lambda box: box["a"]),
    "default dict": Container(lambda x: defaultdict(list, a=[x]), lambda box: box["a"][0]),
    "counter": Container(lambda x: Counter({"a": x}), lambda box: box["a"]),
    "deque": Container(lambda x: deque([0, x], 2), lambda box: box[-1]),
    "set": Container(lambda x: {x}, _first),
    "frozenset": Container(lambda x: frozenset([x]), _first),
    "keys": Container(lambda x: {x: 1}.keys(), _first),
    "values": Container(lambda x: {1: x}.values(), _first),
    "items": Container(lambda x: {1: x}.items(), lambda box: _first(box)[1]),
    "partial": Container(lambda x: functools.partial(torch.add, x), lambda box: box(0)),
    "frozen dataclass": Container(Frozen, lambda box: box.x + box.twice[0] - box.twice[1]),
    "dataclass with slots": Container(SlottedData, _x),
    "slots": Container(Slotted, lambda box: box.inner()),
    "object": Container(Plain, lambda box: box.inner()),
    "object with a state": Container(Selective, lambda box: box.inner()),
    "namespace": Container(lambda x: SimpleNamespace(x=x), _x),
    "slice": Container(lambda x: slice(x, None), lambda box: box.start),
    "closure": Container(_closure, _called),
    "default value": Container(_default, _called),
    "bound method": Container(lambda x: Plain(x).inner, _called),
    "packed sequence": Container(
        lambda x: nn.utils.rnn.pack_sequence([x]), lambda box: box.data.reshape(-1)
    ),
    "module": Container(Model, _x),
    "cycle": Container(_cycle, lambda box: box[1][1][0]),
}


class Applies(nn.Module):
    """A module that takes a tensor out of a value and multiplies it by a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 3))

    def forward(self, box: Any, take: Callable[[Any], Any]) -> Any:
        """The tensor in a value, weighed."""
        return take(box) * self.weight


class Puts(nn.Module):
    """A module that multiplies by a weight, and returns a value with the result in it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 3))

    def forward(self, x: Tensor, put: Callable[[Tensor], Any]) -> Any:
        """A value with the tensor in it."""
        return put(x * self.weight)
