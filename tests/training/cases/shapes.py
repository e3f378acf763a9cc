"""What changes the shape of its input: pads, views, shuffles and upsampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.training.case import Case, randn

__all__ = ["CASES"]


def signal() -> tuple[Tensor]:
    return (randn(2, 4, 5),)


def image() -> tuple[Tensor]:
    return (randn(2, 4, 4, 4),)


def volume() -> tuple[Tensor]:
    return (randn(2, 4, 3, 3, 3),)


CASES = [
    Case(nn.CircularPad1d, (2,), signal),
    Case(nn.CircularPad2d, ((1, 2, 0, 1),), image),
    Case(nn.CircularPad3d, (1,), volume),
    Case(nn.ConstantPad1d, (2, 0.5), signal),
    Case(nn.ConstantPad2d, ((1, -1, 0, 2), 0.5), image),
    Case(nn.ConstantPad3d, (1, float("nan")), volume),
    Case(nn.ReflectionPad1d, (2,), signal),
    Case(nn.ReflectionPad2d, ((1, 2, 0, 1),), image),
    Case(nn.ReflectionPad3d, (1,), volume),
    Case(nn.ReplicationPad1d, (2,), signal),
    Case(nn.ReplicationPad2d, ((1, 2, 0, 1),), image),
    Case(nn.ReplicationPad3d, (1,), volume),
    Case(nn.ZeroPad1d, (2,), signal),
    Case(nn.ZeroPad2d, ((1, 2, 0, 1),), image),
    Case(nn.ZeroPad3d, (1,), volume),
    Case(nn.Flatten, (), image),
    Case(nn.Flatten, (0, 1), lambda: (randn(2, 3, dtype=torch.complex64),), note="complex"),
    Case(nn.Unflatten, (1, (2, 2)), signal),
    Case(nn.PixelShuffle, (2,), image),
    Case(nn.PixelUnshuffle, (2,), image),
    Case(nn.ChannelShuffle, (2,), image),
    Case(nn.Upsample, (), signal, {"size": 9}),
    Case(nn.Upsample, (), signal, {"scale_factor": 1.5, "mode": "linear"}),
    Case(nn.Upsample, (), image, {"scale_factor": 2, "mode": "nearest-exact"}),
    Case(nn.Upsample, (), image, {"size": (7, 6), "mode": "bicubic", "align_corners": True}),
    Case(nn.Upsample, (), volume, {"scale_factor": 2, "mode": "trilinear"}),
    Case(nn.UpsamplingBilinear2d, (), image, {"scale_factor": 2}),
    Case(nn.UpsamplingNearest2d, (), image, {"size": 7}),
]
