"""Modules and functions on workers for the contract's tests of gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.helpers import Tracked

__all__ = [
    "Both",
    "Cubes",
    "Mixed",
    "Noisy",
    "Tagged",
    "Through",
    "calls",
    "gradients",
    "local_gradients",
    "seed",
    "statistics",
    "tagged",
]


class Both(NamedTuple):
    """Two tensors and something else."""

    product: Tensor
    best: Tensor
    note: str


class Mixed(nn.Module):
    """A module that takes and returns tensors in containers, among other things, not all of which require grad."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(1.0, 2.0, 3))

    def forward(self, parts: dict[str, Any], scale: float = 2.0) -> dict[str, Any]:
        """Results that depend on the inputs, on the weight, on both and on neither."""
        x, rest = parts["x"], parts["rest"]
        product = x * self.weight * scale
        return {
            "both": Both(product, product.argmax(), "a note"),
            "list": [rest[0] + 1, self.weight * 3, x.detach(), None],
            "same": product,
        }


class Cubes(nn.Module):
    """A module with second derivatives in its input and its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 4))

    def forward(self, x: Tensor) -> Tensor:
        """A sum of weighted cubes."""
        return (x**3 * self.weight).sum(-1)


class Noisy(nn.Module):
    """A module that draws random numbers and keeps running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.inner = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """The inner layers' result."""
        self.calls += 1
        result: Tensor = self.inner(x)
        return result


class Through(nn.Module):
    """A module that calls another remote module."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4)
        self.other = other

    def forward(self, x: Tensor) -> Tensor:
        """A local layer, the other module, and a local function."""
        result: Tensor = self.other(self.before(x)).tanh()
        return result


class _Tagging(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.tag = Tracked("graph")
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * 2


class Tagged(nn.Module):
    """Its graphs can be counted: each holds a tracked object."""

    def forward(self, x: Tensor) -> Tensor:
        """Twice the input."""
        result: Tensor = _Tagging.apply(x)  # type: ignore[no-untyped-call]
        return result


def tagged(x: Tensor) -> Tensor:
    """Twice the input, with a graph that can be counted."""
    result: Tensor = Tagged()(x)
    return result


def local_gradients(module: nn.Module) -> list[Tensor | None]:
    """The gradients of a module's parameters, copied."""
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def gradients(ref: rm.RemoteRef[nn.Module]) -> list[Tensor | None]:
    """The gradients of the parameters of a module on its owner."""
    return local_gradients(ref.local_value())


def statistics(ref: rm.RemoteRef[nn.Module]) -> dict[str, Tensor]:
    """The buffers of a module on its owner."""
    return {name: buffer.clone() for name, buffer in ref.local_value().named_buffers()}


def calls(ref: rm.RemoteRef[nn.Module]) -> int:
    """How often a :class:`Noisy` module was run."""
    module: Any = ref.local_value()
    count: int = module.calls
    return count


def seed(number: int) -> None:
    """Seed the random numbers."""
    torch.manual_seed(number)
