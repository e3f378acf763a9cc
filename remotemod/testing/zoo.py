"""Modules whose signatures and results cover what a backend must carry."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

__all__ = ["Calls", "Colour", "Echo", "Failing", "Label", "Refusing", "Results", "Scores"]


class Scores(NamedTuple):
    """A named tuple with a tensor in it."""

    scores: Tensor
    size: int


@dataclasses.dataclass
class Label:
    """A dataclass with tensors in a container."""

    name: str
    parts: list[Tensor]


class Colour(enum.Enum):
    """An enum."""

    RED = 1
    GREEN = 2


class Echo(nn.Module):
    """A module that returns its argument."""

    def forward(self, value: Any) -> Any:
        """The value itself."""
        return value


class Results(nn.Module):
    """One method for each kind of result."""

    def forward(self, x: Tensor) -> Tensor:
        """A tensor."""
        return x * 2

    def mapping(self, x: Tensor) -> dict[str, Tensor]:
        """A dict."""
        return {"x": x, "double": x * 2}

    def named(self, x: Tensor) -> Scores:
        """A named tuple."""
        return Scores(x, x.numel())

    def labelled(self, x: Tensor) -> Label:
        """A dataclass."""
        return Label("both", [x, -x])

    def nothing(self) -> None:
        """None, from a method without arguments."""

    def scalar(self, x: Tensor) -> float:
        """A float."""
        return float(x.sum())

    def nested(self, x: Tensor) -> tuple[Tensor, list[tuple[int, dict[str, Tensor | None]]]]:
        """Containers in containers."""
        return x, [(1, {"a": x, "none": None})]

    def packed(self, x: Tensor) -> PackedSequence:
        """A packed sequence."""
        return pack_sequence([x, x[:1]])

    def many(self, count: int) -> list[Tensor]:
        """Tensors of growing size."""
        return [torch.full((i,), i) for i in range(count)]


class Calls(nn.Module):
    """One method for each kind of parameter; each returns its arguments."""

    def forward(
        self, x: Tensor, /, y: int = 3, *rest: int, flag: bool = True, **extra: Any
    ) -> tuple[Any, ...]:
        """Every kind at once."""
        return x, y, rest, flag, extra

    def text(self, word: str = "de'fa\"ult", far: float = float("inf")) -> tuple[str, float]:
        """Defaults that are awkward to write."""
        return word, far

    def owned(self, colour: Colour = Colour.GREEN, box: Any = object()) -> tuple[Any, bool]:  # noqa: B008
        """A default that only the owner has."""
        return colour, type(box) is object

    def only(self, *, x: Tensor, scale: float = 2.0) -> Tensor:
        """Keyword-only parameters."""
        return x * scale

    def none(self) -> str:
        """No parameters."""
        return "nothing"


class Failing(nn.Module):
    """A module that raises an error."""

    def forward(self, kind: str) -> None:
        """Raise the builtin exception of that name."""
        import builtins

        raise getattr(builtins, kind)("boom from afar")


class Refusing(nn.Module):
    """A module that cannot be built."""

    def __init__(self) -> None:
        super().__init__()
        raise ValueError("no such weights")

    def forward(self) -> None:
        """Never reached."""
