"""Norms and scaling of dense and sparse gradients; runs in the process that has them."""

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
            single = [torch.linalg.vector_norm(gradient, norm_type) for gradient in flat]
        else:
            single = norm_of_all(flat, norm_type)
        stacked = torch.empty(0)
        if single:
            stacked = torch.stack([norm.to(single[0].device) for norm in single])
    return Norms([len(each) for each in gradients], to_caller(stacked))


def scale(sources: Sequence[Source], factor: Tensor) -> None:
    """Multiply the gradients by ``factor``."""
    _multiply(_values(itertools.chain(*collect(sources))), factor)


def unscale(shard: Any, factor: Tensor) -> bool:
    """Multiply the gradients of a shard's parameters; True if one was not finite before."""
    gradients = _values(shard_of(shard).parameters)
    are_finite = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    _multiply(gradients, factor)
    return not are_finite


def _multiply(gradients: list[Tensor], factor: Tensor) -> None:
    by_device: dict[torch.device, list[Tensor]] = {}
    for gradient in gradients:
        by_device.setdefault(gradient.device, []).append(gradient)
    with torch.no_grad():
        for device, on_device in by_device.items():
            multiply_all_(on_device, factor.to(device))


def _values(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients that are not None; of sparse ones the coalesced values."""
    values = []
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse:
            gradient = parameter.grad = gradient.coalesce()
            gradient = gradient.values()
        if gradient is not None:
            values.append(gradient)
    return values
