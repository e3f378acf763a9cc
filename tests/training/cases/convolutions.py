"""Convolutions and what unfolds and folds as they do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.training.case import Case, randn

__all__ = ["CASES"]


def signal() -> tuple[Tensor]:
    return (randn(2, 4, 9),)


def image() -> tuple[Tensor]:
    return (randn(2, 4, 7, 7),)


def volume() -> tuple[Tensor]:
    return (randn(2, 4, 4, 4, 4),)


def channels_last() -> tuple[Tensor]:
    return (randn(2, 4, 7, 7).to(memory_format=torch.channels_last),)


def transposed() -> tuple[Tensor]:
    return (randn(2, 4, 7, 5).transpose(2, 3),)


CASES = [
    Case(nn.Conv1d, (4, 6, 3), signal),
    Case(nn.Conv1d, (4, 6, 3), signal, {"padding": "same", "dilation": 2}),
    Case(nn.Conv1d, (4, 6, 3), signal, {"padding": 1, "padding_mode": "circular"}),
    Case(nn.Conv1d, (4, 6, 3), lambda: (randn(4, 9),), note="unbatched"),
    Case(nn.Conv2d, (4, 6, 3), image),
    Case(nn.Conv2d, (4, 6, 3), image, {"bias": False}),
    Case(nn.Conv2d, (4, 6, 3), image, {"stride": 2, "padding": 1, "groups": 2}),
    Case(nn.Conv2d, (4, 6, 3), image, {"padding": 1, "padding_mode": "reflect"}),
    Case(nn.Conv2d, (4, 6, (3, 1)), channels_last, note="channels_last"),
    Case(nn.Conv2d, (4, 6, 3), transposed, note="transposed"),
    Case(nn.Conv2d, (4, 6, 3), lambda: (torch.randn(2, 4, 7, 7),), note="input-without-grad"),
    Case(
        nn.Conv2d,
        (4, 6, 3),
        lambda: (randn(2, 4, 7, 7, dtype=torch.complex64),),
        {"dtype": torch.complex64},
        note="complex",
    ),
    Case(nn.Conv3d, (4, 6, 2), volume),
    Case(nn.Conv3d, (4, 4, 2), volume, {"groups": 4, "padding": 1}),
    Case(nn.ConvTranspose1d, (4, 6, 3), signal),
    Case(nn.ConvTranspose1d, (4, 6, 3), signal, {"stride": 2, "output_padding": 1}),
    Case(nn.ConvTranspose2d, (4, 6, 3), image),
    Case(
        nn.ConvTranspose2d,
        (4, 6, 3),
        lambda: (randn(2, 4, 5, 5), [11, 11]),
        {"stride": 2},
        note="output_size",
    ),
    Case(nn.ConvTranspose3d, (4, 6, 2), volume),
    Case(nn.LazyConv1d, (6, 3), signal),
    Case(nn.LazyConv2d, (6, 3), image),
    Case(nn.LazyConv3d, (6, 2), volume),
    Case(nn.LazyConvTranspose1d, (6, 3), signal),
    Case(nn.LazyConvTranspose2d, (6, 3), image),
    Case(nn.LazyConvTranspose3d, (6, 2), volume),
    Case(nn.Fold, ((4, 5), 2), lambda: (randn(2, 8, 12),)),
    Case(nn.Unfold, ((2, 3),), image),
    Case(nn.Unfold, (2,), image, {"stride": 2, "padding": 1}),
]
