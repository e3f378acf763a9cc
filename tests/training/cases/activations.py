"""Activations, in place too, and what drops values at random."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tests.training.case import Case, randn

__all__ = ["CASES"]


def matrix() -> tuple[Tensor]:
    return (randn(3, 8),)


def image() -> tuple[Tensor]:
    return (randn(2, 4, 6, 6),)


PLAIN: list[tuple[type[nn.Module], tuple[Any, ...]]] = [
    (nn.GELU, ()),
    (nn.GLU, ()),
    (nn.Hardshrink, ()),
    (nn.LogSigmoid, ()),
    (nn.LogSoftmax, (1,)),
    (nn.PReLU, ()),
    (nn.Sigmoid, ()),
    (nn.Softmax, (1,)),
    (nn.Softmin, (1,)),
    (nn.Softplus, ()),
    (nn.Softshrink, ()),
    (nn.Softsign, ()),
    (nn.Tanh, ()),
    (nn.Tanhshrink, ()),
]

# Those that can also write into their input.
EITHER: list[tuple[type[nn.Module], tuple[Any, ...]]] = [
    (nn.CELU, (0.8,)),
    (nn.ELU, ()),
    (nn.Hardsigmoid, ()),
    (nn.Hardswish, ()),
    (nn.Hardtanh, (-0.5, 0.7)),
    (nn.LeakyReLU, (0.2,)),
    (nn.Mish, ()),
    (nn.RReLU, ()),
    (nn.ReLU, ()),
    (nn.ReLU6, ()),
    (nn.SELU, ()),
    (nn.SiLU, ()),
    (nn.Threshold, (0.1, 20.0)),
]

DROPOUTS: list[tuple[type[nn.Module], tuple[int, ...]]] = [
    (nn.AlphaDropout, (3, 8)),
    (nn.Dropout, (3, 8)),
    (nn.Dropout1d, (2, 8, 5)),
    (nn.Dropout2d, (2, 8, 5, 5)),
    (nn.Dropout3d, (2, 8, 3, 3, 3)),
    (nn.FeatureAlphaDropout, (2, 8, 3, 3)),
]

CASES = [
    *(Case(cls, args, matrix) for cls, args in PLAIN),
    Case(nn.GELU, (), matrix, {"approximate": "tanh"}),
    Case(nn.PReLU, (4,), image, note="channels"),
    Case(nn.Softmax2d, (), image),
    *(Case(cls, args, matrix) for cls, args in EITHER),
    *(Case(cls, args, matrix, {"inplace": True}) for cls, args in EITHER),
    Case(nn.RReLU, (), matrix, note="eval", mode=False),
    *(Case(cls, (0.4,), lambda s=shape: (randn(*s),)) for cls, shape in DROPOUTS),
    *(
        Case(cls, (0.4,), lambda s=shape: (randn(*s),), {"inplace": True})
        for cls, shape in DROPOUTS
    ),
    Case(nn.Dropout, (0.4,), matrix, note="eval", mode=False),
    Case(nn.Dropout, (0.0,), matrix, note="nothing"),
    Case(nn.Dropout, (1.0,), matrix, note="everything"),
]
