"""What runs where gradients live: their norms, and their scaling, for dense and sparse ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from remotemod.optim.shard import Source, collect, shard_of
from remotemod.torch_compat.tensors import multiply_all_, norm_of_all
from remotemod.trees import to_caller

__all__ = ["Norms", "norms", "scale", "unscale"]


class Norms(NamedTuple):
    """The norms of an owner's gradients.

    Attributes:
        counts: how many gradients each source has.
        norms: the norm of each, in order.
    """

    counts: list[int]
    norms: Tensor


def norms(sources: Sequence[Source], norm_type: float, foreach: bool | None) -> Norms:
    """The norm of each gradient."""
    gradients = [_values(parameters) for parameters in collect(sources)]
    flat = list(itertools.chain(*gradients))
    with torch.no_grad():
        if foreach is False:
            found = [torch.linalg.vector_norm(gradient, norm_type) for gradient in flat]
        else:
            found = norm_of_all(flat, norm_type)
        together = (
            torch.stack([norm.to(found[0].device) for norm in found]) if found else torch.empty(0)
        )
    return Norms([len(each) for each in gradients], to_caller(together))


def scale(sources: Sequence[Source], factor: Tensor) -> None:
    """Multiplies the gradients by ``factor``."""
    _multiply(_values(itertools.chain(*collect(sources))), factor)


def unscale(shard: Any, factor: Tensor) -> bool:
    """Multiplies the gradients of an optimizer's parameters; whether one was not finite before."""
    gradients = _values(shard_of(shard).parameters)
    found = not all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    _multiply(gradients, factor)
    return found


def _multiply(gradients: list[Tensor], factor: Tensor) -> None:
    places: dict[torch.device, list[Tensor]] = {}
    for gradient in gradients:
        places.setdefault(gradient.device, []).append(gradient)
    with torch.no_grad():
        for device, each in places.items():
            multiply_all_(each, factor.to(device))


def _values(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients there are; of sparse ones the values, with each index once."""
    found = []
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse:
            gradient = parameter.grad = gradient.coalesce()
            gradient = gradient.values()
        if gradient is not None:
            found.append(gradient)
    return found
