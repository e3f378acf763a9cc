"""Classes of data that the wire tests send; at the top of a module, so that they travel by reference."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from torch import Tensor


class Color(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 (an alias)
    BLUE = ("b", 2)


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    RUN = enum.auto()


class Point(NamedTuple):
    x: float
    y: Any = None


class PickyPoint(Point):
    """A named tuple whose ``__new__`` takes something else than its fields."""

    def __new__(cls, both: float) -> PickyPoint:
        return super().__new__(cls, both, both)


@dataclass
class Options:
    lr: Any = 0.1
    doubled: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.doubled = 0.0 if not isinstance(self.lr, float) else self.lr * 2


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    name: str
    tensor: Any = None


@dataclass
class ModelOutput(OrderedDict):
    """A dict of its own fields, as HF transformers has them."""

    loss: Tensor | None = None
    logits: Tensor | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) is not None:
                OrderedDict.__setitem__(self, item.name, getattr(self, item.name))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("this output cannot be changed")


class OddError(Exception):
    """An exception whose ``__init__`` asks for what ``args`` does not hold."""

    def __init__(self, *, code: int, detail: object) -> None:
        super().__init__(f"odd {code}")
        self.code = code
        self.detail = detail


class SlottedError(ValueError):
    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        super().__init__("slotted")
        self.position = position


@dataclass(frozen=True)
class FrozenError(Exception):
    """An exception that forbids changes from Python."""

    reason: str


class LonelyError(Exception):
    """An exception type that forbids subclasses."""

    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses, please")
