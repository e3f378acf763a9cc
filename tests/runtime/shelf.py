"""A module that keeps tensors on its worker, and the ways in which either side may hold on to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["GRIPS", "Held", "Shelf", "content", "hold"]


def _as_graph(tensor: Tensor) -> Any:
    """Nothing but what autograd saved for a backward."""
    weight = torch.ones(tensor.shape, requires_grad=True)
    return weight, (weight * tensor).sum()


def _of_graph(grip: Any) -> bytes:
    weight, total = grip
    (grad,) = torch.autograd.grad(total, weight, retain_graph=True)
    return bytes(grad.numpy().tobytes())


def _of_storage(grip: Any) -> bytes:
    storage, offset, count = grip
    flat = torch.empty(0, dtype=torch.uint8).set_(storage, offset, (count,))
    return bytes(flat.numpy().tobytes())


def _of_tensor(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().numpy().tobytes())


GRIPS: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], bytes]]] = {
    "itself": (lambda t: t, _of_tensor),
    "slice": (lambda t: t[len(t) // 3 : -1], _of_tensor),
    "step": (lambda t: t[1::3], _of_tensor),
    "item": (lambda t: t[-1:], _of_tensor),
    "transposed": (lambda t: t[: len(t) // 4 * 4].view(4, -1).t(), _of_tensor),
    "bytes": (lambda t: t.view(torch.uint8)[5:], _of_tensor),
    "detached": (lambda t: t.detach().view(torch.int32), _of_tensor),
    "capsule": (lambda t: torch.from_dlpack(t), _of_tensor),
    "array": (lambda t: t.numpy(), lambda a: bytes(a.tobytes())),
    "memory": (lambda t: memoryview(t.numpy()[1:]), lambda m: bytes(m.tobytes())),
    "storage": (
        lambda t: (t.untyped_storage(), t.storage_offset() * 4, t.nbytes),
        _of_storage,
    ),
    "graph": (_as_graph, _of_graph),
}
"""How to hold a float tensor of four items or more, and how to read what is held."""


class Held(NamedTuple):
    """A grip on a tensor, and the bytes that it must show for as long as it is held."""

    how: str
    grip: Any
    expected: bytes

    def holds(self) -> bool:
        """Whether it still shows what it did."""
        return content(self.how, self.grip) == self.expected


def content(how: str, grip: Any) -> bytes:
    """What a grip shows now."""
    return GRIPS[how][1](grip)


def hold(tensor: Tensor, how: str, expected: Tensor) -> Held:
    """Takes a grip on a tensor that should equal another."""
    taken, read = GRIPS[how]
    return Held(how, taken(tensor), read(taken(expected.clone())))


class Shelf(nn.Module):
    """Keeps its inputs by grips of any kind, and can tell, change and give back what it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, Held] = {}
        self.whole: dict[int, Tensor] = {}

    def forward(self, value: Any) -> Any:
        """The value itself."""
        return value

    def keep(self, key: int, tensor: Tensor, how: str) -> None:
        """Holds on to an input by one grip and nothing else."""
        self.held[key] = hold(tensor, how, tensor)

    def broken(self) -> list[tuple[int, str]]:
        """What does not show any more what it did when it was kept."""
        return [(key, held.how) for key, held in self.held.items() if not held.holds()]

    def drop(self, key: int) -> None:
        """Lets go."""
        del self.held[key]

    def store(self, key: int, tensor: Tensor) -> Tensor:
        """Keeps an input whole, and returns it as well."""
        self.whole[key] = tensor
        return tensor

    def stored(self, key: int) -> Tensor:
        """What was stored, the very tensor."""
        return self.whole[key]

    def add(self, key: int, what: float) -> None:
        """Changes what was stored in place."""
        self.whole[key].add_(what)

    def discard(self, key: int) -> None:
        """Forgets what was stored."""
        del self.whole[key]

    def spoil(self, tensor: Tensor, array: np.ndarray) -> tuple[Tensor, float]:
        """Changes its inputs in place and returns one of them."""
        tensor.mul_(-1)
        array[...] = 7
        return tensor, float(array.sum())
