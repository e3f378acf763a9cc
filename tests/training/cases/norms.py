"""Normalisations: those that keep running statistics change their owner's state in forward."""

from __future__ import annotations

from torch import Tensor, nn

from tests.training.case import Case, randn

__all__ = ["CASES"]


def matrix() -> tuple[Tensor]:
    return (randn(6, 4),)


def signal() -> tuple[Tensor]:
    return (randn(2, 4, 9),)


def image() -> tuple[Tensor]:
    return (randn(2, 4, 5, 5),)


def volume() -> tuple[Tensor]:
    return (randn(2, 4, 3, 3, 3),)


TRACKED = {"affine": True, "track_running_stats": True}

CASES = [
    Case(nn.BatchNorm1d, (4,), matrix),
    Case(nn.BatchNorm1d, (4,), signal, {"momentum": None}, note="cumulative"),
    Case(nn.BatchNorm1d, (4,), matrix, note="eval", mode=False),
    Case(nn.BatchNorm2d, (4,), image),
    Case(nn.BatchNorm2d, (4,), image, {"affine": False, "track_running_stats": False}),
    Case(nn.BatchNorm3d, (4,), volume),
    Case(nn.SyncBatchNorm, (4,), image),
    Case(nn.InstanceNorm1d, (4,), signal),
    Case(nn.InstanceNorm1d, (4,), signal, TRACKED),
    Case(nn.InstanceNorm2d, (4,), image, TRACKED),
    Case(nn.InstanceNorm3d, (4,), volume, TRACKED),
    Case(nn.LazyBatchNorm1d, (), matrix),
    Case(nn.LazyBatchNorm2d, (), image),
    Case(nn.LazyBatchNorm3d, (), volume),
    Case(nn.LazyInstanceNorm1d, (), signal),
    Case(nn.LazyInstanceNorm2d, (), image),
    Case(nn.LazyInstanceNorm3d, (), volume),
    Case(nn.GroupNorm, (2, 4), image),
    Case(nn.GroupNorm, (2, 4), image, {"affine": False}),
    Case(nn.LayerNorm, (4,), matrix),
    Case(nn.LayerNorm, ([5, 5],), image, {"elementwise_affine": False}),
    Case(nn.RMSNorm, (4,), matrix),
    Case(nn.LocalResponseNorm, (2,), image),
    Case(nn.CrossMapLRN2d, (2,), image),
]
