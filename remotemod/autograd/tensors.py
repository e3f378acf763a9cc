"""Which tensors of a value take part in gradients: found and replaced on both sides of the border alike."""

from __future__ import annotations

import copy
import enum
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from remotemod.torch_compat.tensors import ragged_dimension
from remotemod.trees import map_tensors

__all__ = ["GraphMode", "differentiable", "replaced"]


_CLOSED = (nn.Module, type, types.FunctionType, types.MethodType, types.ModuleType, enum.Enum)
"""What has attributes that do not travel with it, or never change."""


class GraphMode(enum.IntEnum):
    """What an owner does with the graph of a call.

    ``NONE``: there is none, the caller records nothing. ``SHARE``: it is one with the caller's, which sees
    to it itself. ``KEEP``: the owner keeps it for the caller's backward. ``RECOMPUTE``: the owner keeps
    what it needs to run the call again, and does so in backward.
    """

    NONE = 0
    SHARE = 1
    KEEP = 2
    RECOMPUTE = 3


def differentiable(value: Any) -> list[Tensor]:
    """The tensors in a value that require grad, each once, in the order of its structure.

    Containers, named tuples, dataclasses, packed sequences and the attributes of plain objects are walked. A
    nested tensor stands for its parts: autograd's custom functions do not take a strided one whole, and the
    shape of a jagged one means something in its own process only.
    """
    found: dict[int, Tensor] = {}
    row = _row(value)
    if row is not None:
        for item in row:
            if type(item) is Tensor and item.requires_grad:
                found[id(item)] = item
        return list(found.values())

    def visit(tensor: Tensor) -> Tensor:
        if tensor.requires_grad and not torch.nn.parameter.is_lazy(tensor):
            found[id(tensor)] = tensor
        return tensor

    _walk(value, visit, anew=False)
    return [part for tensor in found.values() for part in _parts(tensor)]


def replaced(value: Any, tensors: Sequence[Tensor]) -> Any:
    """``value`` with others for what :func:`differentiable` finds in it, in the same order; the value itself stays as it was."""
    if _row(value) is not None:
        return _row_replaced(value, dict(zip(map(id, differentiable(value)), tensors, strict=True)))
    news = iter(tensors)
    made: dict[int, Tensor] = {}

    def visit(tensor: Tensor) -> Tensor:
        if not tensor.requires_grad or torch.nn.parameter.is_lazy(tensor):
            return tensor
        if id(tensor) not in made:
            made[id(tensor)] = _whole(tensor, news)
        return made[id(tensor)]

    return _walk(value, visit, anew=True)


_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


def _row(value: Any) -> Sequence[Any] | None:
    """The items of a result, or of the arguments of a call, that is quickly seen through; None for others."""
    kind = type(value)
    row: Sequence[Any] = value if kind is tuple else (value,)
    if kind is tuple and len(row) == 2 and type(row[0]) is tuple and type(row[1]) is dict:
        row = (*row[0], *row[1].values())
    for item in row:
        kind = type(item)
        if kind is Tensor:
            if item.is_nested:
                return None
        elif kind not in _ATOMS:
            return None
    return row


def _row_replaced(value: Any, news: dict[int, Tensor]) -> Any:
    if type(value) is Tensor:
        return news.get(id(value), value)
    if len(value) == 2 and type(value[1]) is dict:
        args, kwargs = value
        named = {name: news.get(id(item), item) for name, item in kwargs.items()} if kwargs else {}
        return tuple([news.get(id(item), item) for item in args]), named
    return tuple([news.get(id(item), item) for item in value])


def _walk(value: Any, visit: Callable[[Tensor], Tensor], *, anew: bool) -> Any:
    return map_tensors(value, visit, _Attributes(visit, anew).walk)


class _Attributes:
    """Walks the attributes of plain objects, each object once.

    A function that called itself would be a cycle, and hold tensors and their graphs until Python looks for cycles.
    """

    def __init__(self, visit: Callable[[Tensor], Tensor], anew: bool) -> None:
        self._visit = visit
        self._anew = anew
        self._objects: dict[int, Any] = {}

    def walk(self, item: Any) -> Any:
        """What stands for an object: itself, or a copy with other attributes."""
        attributes = getattr(item, "__dict__", None)
        if type(attributes) is not dict or isinstance(item, _CLOSED):
            return item
        if id(item) not in self._objects:
            made = self._objects[id(item)] = copy.copy(item) if self._anew else item
            for name, old in attributes.items():
                new = map_tensors(old, self._visit, self.walk)
                if new is not old:
                    object.__setattr__(made, name, new)
        return self._objects[id(item)]


def _parts(tensor: Tensor) -> Sequence[Tensor]:
    if not tensor.is_nested:
        return (tensor,)
    return tensor.unbind() if tensor.layout is torch.strided else (tensor.values(),)


def _whole(tensor: Tensor, news: Iterator[Tensor]) -> Tensor:
    if not tensor.is_nested:
        return next(news)
    if tensor.layout is torch.strided:
        return torch.nested.as_nested_tensor([next(news) for _ in range(tensor.size(0))])
    rest: Any = tensor  # jagged tensors have more than others
    jagged: Tensor = torch.nested.nested_tensor_from_jagged(
        next(news), rest.offsets(), rest.lengths(), jagged_dim=ragged_dimension(rest)
    )
    return jagged
