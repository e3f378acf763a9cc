"""Which tensors of a value take part in gradients: found and replaced on both sides of the boundary alike."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from remotemod.errors import GraphError
from remotemod.torch_compat.modules import parameters_of
from remotemod.torch_compat.tensors import ragged_dimension
from remotemod.trees import Enumerated, Walk
from remotemod.trees.paths import path_to

__all__ = [
    "GraphMode",
    "differentiable",
    "enumerate_tensors",
    "open_value",
    "parts_of",
    "replaced",
    "scripted_parameters",
]


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


def enumerate_tensors(value: Any, *, is_call: bool) -> tuple[Any, list[Tensor]]:
    """Find the tensors of a value that gradients follow, before it goes to another process.

    The other side finds the same ones by :func:`open_value`.

    Args:
        value: arguments as ``(args, kwargs)``, or a result.
        is_call: whether it is the former. The parameters of a module that is returned are not followed: the caller
            gets a module of its own.

    Returns:
        The value as it is to travel, and the tensors.

    Raises:
        GraphError: a module among the arguments has parameters that have no values yet.
    """
    row = _row(value)
    if row is not None:
        found = {id(t): t for t in row if type(t) is Tensor and t.requires_grad}
        return value, list(found.values())
    walk = Walk(value)
    tensors = [tensor for tensor in walk.tensors.values() if _is_followed(tensor)]
    if walk.is_regular and not any(map(_is_parameter, tensors)):
        return value, tensors
    of_modules = _parameters_in_modules(walk)
    if is_call:
        _refuse_lazy(of_modules, value)
        sent = Enumerated(value, tensors, len(tensors), is_call, os.getpid())
        return sent, [*tensors, *scripted_parameters(walk)]
    copies = [tensor for tensor in tensors if id(tensor) in of_modules]
    tensors = [tensor for tensor in tensors if id(tensor) not in of_modules]
    sent = Enumerated(value, [*tensors, *copies], len(tensors), is_call, os.getpid())
    return sent, tensors


def open_value(value: Any) -> tuple[Any, list[Tensor]]:
    """Find what :func:`enumerate_tensors` found on the other side.

    Args:
        value: what has travelled.

    Returns:
        The value, and its tensors in the same order.
    """
    if type(value) is Enumerated:
        tensors = list(value.tensors[: value.followed])
        if value.is_call:
            tensors += scripted_parameters(Walk(value.value))
        return value.value, tensors
    return value, differentiable(value)


def differentiable(value: Any) -> list[Tensor]:
    """The tensors in a value that require grad, each once, in the order of its structure."""
    row = _row(value)
    if row is not None:
        found = {id(t): t for t in row if type(t) is Tensor and t.requires_grad}
        return list(found.values())
    return [tensor for tensor in Walk(value).tensors.values() if _is_followed(tensor)]


def parts_of(tensors: Sequence[Tensor]) -> list[Tensor]:
    """What autograd takes for tensors.

    A nested tensor stands for its parts: autograd's custom functions do not take a strided one whole, and the
    shape of a jagged one means something in its own process only.
    """
    return [part for tensor in tensors for part in _parts(tensor)]


def replaced(value: Any, tensors: Sequence[Tensor], parts: Sequence[Tensor]) -> Any:
    """Make a value with others for some of its tensors; the value itself stays as it was.

    Args:
        value: any value.
        tensors: the tensors that are replaced.
        parts: what stands for the :func:`parts_of` them.
    """
    if not tensors:
        return value
    left = iter(parts)
    news = {id(tensor): _whole(tensor, left) for tensor in tensors}
    if _row(value) is not None:
        return _row_replaced(value, news)
    return Walk(value).replace(news)


def _is_followed(tensor: Tensor) -> bool:
    return tensor.requires_grad and not nn.parameter.is_lazy(tensor)


def _is_parameter(tensor: Tensor) -> bool:
    return issubclass(type(tensor), nn.Parameter)  # isinstance() would ask each of them


def _parameters_in_modules(walk: Walk) -> dict[int, Any]:
    # Remote modules are not entered, and have no parameters here.
    found = [
        c.value for c in walk.containers.values() if c.parts and isinstance(c.value, nn.Module)
    ]
    return {id(parameter): parameter for m in found for parameter in parameters_of(m).values()}


def scripted_parameters(walk: Walk) -> list[Tensor]:
    """The parameters of the scripted modules in a value, which travel in their archives and stay leaves."""
    found = [parameter for module in walk.scripted() for parameter in module.parameters()]
    return [parameter for parameter in found if _is_followed(parameter)]


def _refuse_lazy(parameters: dict[int, Any], value: tuple[Any, Any]) -> None:
    for parameter in parameters.values():
        if nn.parameter.is_lazy(parameter) and parameter.requires_grad:
            path = path_to(parameter, value[0], "args") or path_to(parameter, value[1], "kwargs")
            raise GraphError(
                f"the gradient of {path} would be lost: it is a parameter of a lazy module, and gets its shape where "
                "the module runs first. Run the module here once, or call under torch.no_grad()"
            )


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
