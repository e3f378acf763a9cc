"""Pools, those that also return where the largest values were, and their inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tests.training.case import Case, rand, randn

__all__ = ["CASES"]

Pool = Callable[..., Any]


def signal() -> tuple[Tensor]:
    return (randn(2, 3, 9),)


def image() -> tuple[Tensor]:
    return (randn(2, 3, 8, 8),)


def volume() -> tuple[Tensor]:
    return (randn(2, 3, 5, 5, 5),)


def pooled(pool: Pool, *shape: int) -> Callable[[], tuple[Any, ...]]:
    """What a pool of two returns for random numbers of this shape: the input of its inverse."""
    return lambda: tuple(pool(randn(*shape), 2, return_indices=True))


CASES = [
    Case(nn.AdaptiveAvgPool1d, (4,), signal),
    Case(nn.AdaptiveAvgPool2d, ((3, None),), image),
    Case(nn.AdaptiveAvgPool3d, (2,), volume),
    Case(nn.AdaptiveMaxPool1d, (4,), signal),
    Case(nn.AdaptiveMaxPool2d, (3,), image),
    Case(nn.AdaptiveMaxPool3d, (2,), volume),
    Case(nn.AdaptiveMaxPool1d, (4,), signal, {"return_indices": True}),
    Case(nn.AdaptiveMaxPool2d, (3,), image, {"return_indices": True}),
    Case(nn.AdaptiveMaxPool3d, (2,), volume, {"return_indices": True}),
    Case(nn.AvgPool1d, (3,), signal),
    Case(nn.AvgPool2d, (3,), image, {"stride": 2, "padding": 1, "count_include_pad": False}),
    Case(nn.AvgPool2d, ((2, 3),), image, {"ceil_mode": True, "divisor_override": 5}),
    Case(nn.AvgPool3d, (2,), volume),
    Case(nn.FractionalMaxPool2d, (2,), image, {"output_size": 5}),
    Case(nn.FractionalMaxPool2d, (2,), image, {"output_ratio": 0.6, "return_indices": True}),
    Case(nn.FractionalMaxPool3d, (2,), volume, {"output_size": 3}),
    Case(nn.FractionalMaxPool3d, (2,), volume, {"output_size": 3, "return_indices": True}),
    Case(nn.LPPool1d, (2, 3), lambda: (rand(2, 3, 9),)),
    Case(nn.LPPool2d, (1.5, 2), lambda: (rand(2, 3, 6, 6),)),
    Case(nn.LPPool3d, (2, 2), lambda: (rand(2, 3, 4, 4, 4),)),
    Case(nn.MaxPool1d, (2,), signal),
    Case(nn.MaxPool2d, (2,), image, {"stride": 1, "dilation": 2}),
    Case(nn.MaxPool3d, (2,), volume, {"ceil_mode": True}),
    Case(nn.MaxPool1d, (2,), signal, {"return_indices": True}),
    Case(nn.MaxPool2d, (3,), image, {"return_indices": True}),
    Case(nn.MaxPool3d, (2,), volume, {"return_indices": True}),
    Case(nn.MaxUnpool1d, (2,), pooled(F.max_pool1d, 2, 3, 8)),
    Case(nn.MaxUnpool2d, (2,), pooled(F.max_pool2d, 2, 3, 6, 6)),
    Case(nn.MaxUnpool3d, (2,), pooled(F.max_pool3d, 2, 3, 4, 4, 4)),
    Case(
        nn.MaxUnpool2d,
        (2,),
        pooled(F.max_pool2d, 2, 3, 7, 7),
        note="output_size",
        named=lambda: {"output_size": [7, 7]},
    ),
]
