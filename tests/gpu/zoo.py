"""Modules, interfaces and functions that the GPU tests run on workers."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class Point(NamedTuple):
    where: Tensor
    label: int
    weights: List[Tensor]


@dataclasses.dataclass(frozen=True)
class Record:
    x: Tensor
    name: str


class Results(nn.Module):
    """A method for each kind of result; all need a weight, which is on the module's device."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1.0, 2.0, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight

    @torch.jit.export
    def pair(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return x * self.weight, self.weight.argmax()

    @torch.jit.export
    def mixed(self, x: Tensor, number: int = 3) -> Tuple[int, Tensor, str]:
        return number + 1, x * self.weight * number, "text"

    @torch.jit.export
    def table(self, x: Dict[str, Tensor]) -> Dict[str, Tensor]:
        return {key: value * self.weight for key, value in x.items()}

    @torch.jit.export
    def maybe(self, x: Optional[Tensor]) -> Optional[Tensor]:
        return None if x is None else x + self.weight

    @torch.jit.export
    def point(self, x: Tensor) -> Point:
        return Point(x * self.weight, 7, [self.weight + 1, x * self.weight])

    @torch.jit.export
    def from_point(self, x: Point) -> Tensor:
        return x.where * self.weight + x.weights[0] * x.label

    @torch.jit.export
    def nested(
        self, x: List[Dict[str, Tensor]]
    ) -> Dict[str, List[Tuple[Tensor, Optional[Tensor]]]]:
        found: List[Tuple[Tensor, Optional[Tensor]]] = [(self.weight + 1, x[0]["x"])]
        for part in x:
            found.append((part["x"] * self.weight, None))
        return {"all": found}

    @torch.jit.export
    def rows(self, x: Tensor) -> List[Tensor]:
        return [x * self.weight, x - self.weight]

    @torch.jit.export
    def scalar(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum()

    @torch.jit.export
    def count(self, x: Tensor) -> int:
        return (x * self.weight).numel()

    @torch.jit.export
    def number(self, x: Tensor) -> float:
        return float((x * self.weight).sum())

    @torch.jit.export
    def nothing(self, x: Tensor) -> None:
        pass


@torch.jit.interface
class ResultsInterface(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass

    def pair(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        pass

    def mixed(self, x: Tensor, number: int) -> Tuple[int, Tensor, str]:
        pass

    def table(self, x: Dict[str, Tensor]) -> Dict[str, Tensor]:
        pass

    def maybe(self, x: Optional[Tensor]) -> Optional[Tensor]:
        pass

    def point(self, x: Tensor) -> Point:
        pass

    def from_point(self, x: Point) -> Tensor:
        pass

    def nested(
        self, x: List[Dict[str, Tensor]]
    ) -> Dict[str, List[Tuple[Tensor, Optional[Tensor]]]]:
        pass

    def rows(self, x: Tensor) -> List[Tensor]:
        pass

    def scalar(self, x: Tensor) -> Tensor:
        pass

    def count(self, x: Tensor) -> int:
        pass

    def number(self, x: Tensor) -> float:
        pass

    def nothing(self, x: Tensor) -> None:
        pass


def scripted_results() -> nn.Module:
    """The same module, scripted on its owner."""
    module: nn.Module = torch.jit.script(Results())
    return module


class Untold(nn.Module):
    """Says nothing of its types, so that tensors are looked for wherever they are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1.0, 2.0, 4))

    def forward(self, x, *more, **named):
        y = x["in"][0] * self.weight
        return {
            "scalar": y.sum(),
            "record": Record(y, "kept"),
            "point": Point(y, 1, [y]),
            "more": [each * self.weight for each in more],
            "named": {name: (each * self.weight, name, 1.5) for name, each in named.items()},
            "none": None,
        }


class Sequences(nn.Module):
    """Takes and returns packed sequences, whose sizes stay on the CPU wherever the data is."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.inner = nn.LSTM(4, 5)

    def forward(self, x: PackedSequence) -> Tuple[PackedSequence, Tuple[Tensor, Tensor]]:
        return self.inner(x)


class Tower(nn.Module):
    """Something to train: layers with buffers, the same ones each time.

    No gradient is zero but for rounding, of which Adam would make whole steps.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Linear(4, 16), nn.Tanh(), nn.BatchNorm1d(16), nn.Linear(16, 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Noisy(nn.Module):
    """Draws its masks on the device."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x * self.weight, 0.5)


class Here(nn.Module):
    """Tells where a tensor is that it is given, and where its own is."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("own", torch.ones(1))

    def forward(self, x: Tensor) -> Tuple[str, str, int]:
        return str(x.device), str(self.own.device), torch.cuda.device_count()


def devices_of_parameters(ref: Any) -> List[Tuple[str, Optional[str]]]:
    """Where the parameters of a module are, and their gradients; run on the owner."""
    return [
        (str(p.device), None if p.grad is None else str(p.grad.device))
        for p in ref.local_value().parameters()
    ]


def gradients(ref: Any) -> List[Optional[Tensor]]:
    """The gradients of a module's parameters, run on the owner."""
    return [None if p.grad is None else p.grad.clone() for p in ref.local_value().parameters()]


def is_initialized() -> bool:
    """Whether this process has touched the GPU."""
    return torch.cuda.is_initialized()


def fill_slowly(ref: Any, times: int) -> None:
    """Leaves work on the device that is still under way when it returns."""
    module = ref.local_value()
    with torch.no_grad():
        a = torch.ones(1024, 1024, device=module.weight.device) / 1024
        b = a
        for _ in range(times):
            b = b @ a * 1.0
        module.weight.copy_(b.mean() * 1024 * torch.ones_like(module.weight))


class Selfmade(nn.Module):
    """Returns an object of its own, which no stub looks into."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(1.0, 2.0, 4))

    def forward(self, x: Tensor) -> Any:
        return Box(x * self.weight)


class Box:
    """A plain object; its attributes are its own affair."""

    def __init__(self, inside: Tensor) -> None:
        self.inside = inside


def scaled(x: Tensor, device: str) -> Tensor:
    """A function whose result is on the device."""
    return x.to(device) * 3
