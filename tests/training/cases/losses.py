"""Losses with their targets, and those that hold weights of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.training.case import Case, classes, ints, lengths, rand, randn, signs

__all__ = ["CASES"]


def two() -> tuple[Tensor, Tensor]:
    return randn(4, 5), randn(4, 5)


def triplet() -> tuple[Tensor, ...]:
    return randn(4, 5), randn(4, 5), randn(4, 5)


def scores() -> tuple[Tensor, Tensor]:
    return randn(4, 5), classes(5, 4)


def log_scores() -> tuple[Tensor, Tensor]:
    return randn(4, 5).log_softmax(1), classes(5, 4)


def labelled() -> tuple[Tensor, Tensor]:
    return randn(4, 5), torch.randint(2, (4, 5)).float()


def speech() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return randn(12, 2, 5).log_softmax(2), 1 + classes(4, 2, 3), ints(12, 10), ints(3, 2)


def speech_in_one_row() -> tuple[Tensor, Tensor, tuple[int, ...], tuple[int, ...]]:
    return randn(12, 2, 5).log_softmax(2), 1 + classes(4, 5), lengths(12, 10), lengths(3, 2)


WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.1, 0.0])

CASES = [
    Case(nn.L1Loss, (), two),
    Case(nn.L1Loss, (), two, {"reduction": "none"}),
    Case(nn.MSELoss, (), two),
    Case(nn.MSELoss, (), two, {"reduction": "sum"}),
    Case(nn.SmoothL1Loss, (), two, {"beta": 0.5}),
    Case(nn.HuberLoss, (), two, {"delta": 0.5}),
    Case(nn.NLLLoss, (), log_scores),
    Case(nn.NLLLoss, (WEIGHT,), log_scores, {"reduction": "none", "ignore_index": 2}),
    Case(nn.NLLLoss2d, (), lambda: (randn(2, 5, 3, 3).log_softmax(1), classes(5, 2, 3, 3))),
    Case(nn.CrossEntropyLoss, (), scores),
    Case(nn.CrossEntropyLoss, (WEIGHT,), scores, {"label_smoothing": 0.1}, note="smooth"),
    Case(nn.CrossEntropyLoss, (), lambda: (randn(4, 5), rand(4, 5)), note="probabilities"),
    Case(nn.BCELoss, (), lambda: (rand(4, 5), rand(4, 5))),
    Case(nn.BCEWithLogitsLoss, (), labelled),
    Case(nn.BCEWithLogitsLoss, (), labelled, {"pos_weight": WEIGHT}, note="weighted"),
    Case(nn.CTCLoss, (), speech),
    Case(nn.CTCLoss, (), speech_in_one_row, {"reduction": "sum", "zero_infinity": True}),
    Case(
        nn.KLDivLoss,
        (),
        lambda: (randn(4, 5).log_softmax(1), rand(4, 5)),
        {"reduction": "sum"},
    ),
    Case(
        nn.KLDivLoss,
        (),
        lambda: (randn(4, 5).log_softmax(1), randn(4, 5).log_softmax(1)),
        {"reduction": "batchmean", "log_target": True},
    ),
    Case(nn.PoissonNLLLoss, (), lambda: (randn(4, 5), torch.rand(4, 5) * 4), {"full": True}),
    Case(nn.GaussianNLLLoss, (), lambda: (randn(4, 5), randn(4, 5), rand(4, 5))),
    Case(nn.HingeEmbeddingLoss, (), lambda: (randn(4, 5), signs(4, 5))),
    Case(nn.SoftMarginLoss, (), lambda: (randn(4, 5), signs(4, 5))),
    Case(nn.CosineEmbeddingLoss, (), lambda: (*two(), signs(4)), {"margin": 0.1}),
    Case(nn.MarginRankingLoss, (), lambda: (randn(4), randn(4), signs(4)), {"margin": 0.1}),
    Case(nn.MultiMarginLoss, (), scores, {"p": 2}),
    Case(nn.MultiLabelMarginLoss, (), lambda: (randn(1, 4), ints(3, 0, -1, 1).view(1, 4))),
    Case(nn.MultiLabelSoftMarginLoss, (), labelled),
    Case(nn.TripletMarginLoss, (), triplet, {"swap": True}),
    Case(nn.TripletMarginWithDistanceLoss, (), triplet),
    Case(
        nn.TripletMarginWithDistanceLoss,
        (),
        triplet,
        {"distance_function": lambda a, b: 1 - F.cosine_similarity(a, b)},
        note="own-distance",
    ),
    Case(
        nn.AdaptiveLogSoftmaxWithLoss, (8, 12, [4, 8], 2.0), lambda: (randn(6, 8), classes(12, 6))
    ),
]

# Since torch 2.13.
if hasattr(nn, "LinearCrossEntropyLoss"):
    CASES += [
        Case(nn.LinearCrossEntropyLoss, (8, 5), lambda: (randn(4, 8), classes(5, 4))),
        Case(
            nn.LinearCrossEntropyLoss,
            (8, 5),
            lambda: (randn(4, 8), classes(5, 4)),
            {"bias": True, "reduction": "sum", "label_smoothing": 0.1},
        ),
    ]
