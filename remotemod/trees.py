"""Moves the tensors of a value whose type says too little, and keeps every structure."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.fx.immutable_collections import immutable_dict
from torch.nn.utils.rnn import PackedSequence

__all__ = ["map_tensors", "move", "move_to_caller", "to_caller"]

T = TypeVar("T")


def to_caller(tensor: Tensor) -> Tensor:
    """The tensor as it goes back: on the CPU; a meta tensor has no data to move and stays."""
    return tensor if tensor.is_meta else tensor.cpu()


def move(value: T, device: str | torch.device) -> T:
    """``value`` with every tensor in it on ``device``.

    Lists, tuples, named tuples, dicts (ordered and default ones too), dataclasses and packed sequences
    are walked and keep their type; anything else is returned as it is. Containers in which nothing
    moves are returned themselves.

    Args:
        value: any value.
        device: where tensors go; those already there are not copied.
    """
    target = torch.device(device)
    return map_tensors(value, lambda t: t.to(target))  # type: ignore[no-any-return]


def move_to_caller(value: T) -> T:
    """``value`` with every tensor in it as :func:`to_caller` sends it back."""
    return map_tensors(value, to_caller)  # type: ignore[no-any-return]


def map_tensors(
    value: Any, tensor: Callable[[Tensor], Tensor], other: Callable[[Any], Any] | None = None
) -> Any:
    """``value`` with ``tensor`` applied to every tensor in it, and every structure kept.

    Args:
        value: any value.
        tensor: gives what stands for a tensor.
        other: gives what stands for anything that is not walked; by default it stays.
    """
    if isinstance(value, Tensor):
        return tensor(value)
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, PackedSequence):
        return _packed(value, tensor)
    if isinstance(value, (list, tuple)):
        items = [map_tensors(item, tensor, other) for item in value]
        return value if _same(items, value) else _sequence(value, items)
    if isinstance(value, dict):
        values = {key: map_tensors(item, tensor, other) for key, item in value.items()}
        return value if _same(values.values(), value.values()) else _mapping(value, values)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, tensor, other)
    return value if other is None else other(value)


def _same(new: Any, old: Any) -> bool:
    return all(a is b for a, b in zip(new, old, strict=True))


def _packed(value: PackedSequence, tensor: Callable[[Tensor], Tensor]) -> PackedSequence:
    # batch_sizes must stay on the CPU, wherever the data goes.
    indices = [
        None if i is None else tensor(i) for i in (value.sorted_indices, value.unsorted_indices)
    ]
    return PackedSequence(tensor(value.data), value.batch_sizes, *indices)


def _sequence(value: Any, items: list[Any]) -> Any:
    if type(value) is list:
        return items
    if type(value) is tuple:
        return tuple(items)
    if hasattr(value, "_fields"):
        return tuple.__new__(type(value), items)
    return type(value)(items)


def _mapping(value: Any, items: dict[Any, Any]) -> Any:
    if type(value) is dict:
        return items
    if isinstance(value, defaultdict):
        return defaultdict(value.default_factory, items)
    if type(value) in (OrderedDict, immutable_dict):  # the latter are what graphs of torch.fx hold
        return type(value)(items)
    copied = copy.copy(value)
    for key, item in items.items():
        copied[key] = item
    return copied


def _dataclass(
    value: Any, tensor: Callable[[Tensor], Tensor], other: Callable[[Any], Any] | None
) -> Any:
    moved = {}
    for field in dataclasses.fields(value):
        if hasattr(value, field.name):
            old = getattr(value, field.name)
            new = map_tensors(old, tensor, other)
            if new is not old:
                moved[field.name] = new
    if not moved:
        return value
    copied = copy.copy(value)
    for name, new in moved.items():
        object.__setattr__(copied, name, new)  # frozen dataclasses too
    return copied
