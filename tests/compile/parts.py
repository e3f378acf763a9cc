"""Modules whose calls a graph must hold: each kind of argument and of result, and what a graph cannot hold."""

from __future__ import annotations

import dataclasses
import enum
import time
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Colour(enum.Enum):
    """An argument that is no tensor."""

    RED = 1
    GREEN = 2


class Pair(NamedTuple):
    """A named tuple of tensors."""

    first: Tensor
    second: Tensor


@dataclasses.dataclass
class Sized:
    """A dataclass with a tensor and a number."""

    x: Tensor
    size: int


class Part(nn.Module):
    """What lives on a worker."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0]))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.weight

    def called(self) -> int:
        return self.calls

    def touch(self) -> None:
        self.calls += 1

    def pair(self, pair: Pair) -> Pair:
        return Pair(pair.second * self.weight, pair.first + 1)

    def coloured(self, x: Tensor, colour: Colour) -> Tensor:
        return x * colour.value * self.weight

    def cast(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype) * self.weight

    def sized(self, sized: Sized) -> Sized:
        return Sized(sized.x * sized.size * self.weight, sized.size + 1)

    def repeated(self, x: Tensor, times: int) -> Tensor:
        return x.repeat(times, 1) * self.weight

    def scaled(self, x: Tensor, by: Tensor | None = None, *, plus: float = 0.5) -> Tensor:
        return x * self.weight + plus if by is None else x * by * self.weight + plus

    def total(self, *tensors: Tensor, **named: Tensor) -> Tensor:
        return torch.stack([*tensors, *named.values()]).sum(0) * self.weight

    def nested(self, given: dict[str, list[Tensor]]) -> dict[str, tuple[Tensor, list[Tensor]]]:
        (x,) = given["x"]
        return {"all": (x * self.weight, [x > 0, x.long()])}

    def itself(self, x: Tensor) -> Tensor:
        return x

    def twice(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = x * self.weight
        return found, found

    def views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = x * self.weight
        return found[:, ::2], found.t()

    def counted(self, x: Tensor) -> tuple[Tensor, int]:
        self.calls += 1
        return x, self.calls

    def where(self, x: Tensor) -> Tensor:
        return x.nonzero().float() if x.sum() > 0 else x

    def fails(self, x: Tensor) -> Tensor:
        if not x.is_meta and type(x) is Tensor:
            raise ValueError("not today")
        return x

    def late(self, x: Tensor) -> Tensor:
        if type(x) is Tensor:
            time.sleep(0.4)
        return x * self.weight


class Use(nn.Module):
    """A local model around a part: subclasses say how it is used."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.before(x))

    def use(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Plain(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part(torch.relu(x))


class Named(Use):
    def use(self, x: Tensor) -> Tensor:
        pair = self.part.pair(Pair(x, x * 3))
        return pair.first * pair.second


class Enumerated(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part.coloured(x, Colour.GREEN)


class Cast(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part.cast(x, torch.float64)


class Data(Use):
    def use(self, x: Tensor) -> Tensor:
        sized = self.part.sized(Sized(x, 3))
        return sized.x * sized.size


class Repeated(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part.repeated(x, x.shape[0])


class Optional(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part.scaled(x) + self.part.scaled(x, x) + self.part.scaled(x, None, plus=1.5)


class Variadic(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part.total(x, x + 1, a=x, b=x * 2)


class Nested(Use):
    def use(self, x: Tensor) -> Tensor:
        x, (positive, whole) = self.part.nested({"x": [x]})["all"]
        return x * positive + whole


class Itself(Use):
    def use(self, x: Tensor) -> Tensor:
        return self.part.itself(x) * 2


class Twice(Use):
    def use(self, x: Tensor) -> Tensor:
        one, other = self.part.twice(x)
        return one * other


class Views(Use):
    def use(self, x: Tensor) -> Tensor:
        some, turned = self.part.views(x)
        return some.sum() + turned * 2


class Alike(Use):
    """Two calls that look alike are two calls."""

    def use(self, x: Tensor) -> Tensor:
        return self.part(x) + self.part(x)


class Unused(Use):
    """A call whose result nobody wants is made."""

    def use(self, x: Tensor) -> Tensor:
        self.part(x)
        return x + 1


class Nothing(Use):
    """A call without tensors, and without a result."""

    def use(self, x: Tensor) -> Tensor:
        self.part.touch()
        self.part.touch()
        return x + 1


class Async(Use):
    def use(self, x: Tensor) -> Tensor:
        one, other = self.part.forward_async(x), self.part.forward_async(x + 1)
        return one.wait() + other.result() * x


CALLS = {Plain: 1, Alike: 2, Unused: 1, Nothing: 2, Async: 2}
"""How often each of these calls the part."""
USES = [
    *CALLS,
    *(Named, Enumerated, Cast, Data, Repeated, Optional, Variadic, Nested, Itself, Twice, Views),
]
