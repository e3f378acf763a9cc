"""Linear maps, embeddings, distances and containers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.training.case import Case, classes, ints, rand, randn

__all__ = ["CASES"]


def matrix() -> tuple[Tensor]:
    return (randn(3, 4),)


def pair() -> tuple[Tensor, Tensor]:
    return randn(3, 4), randn(3, 4)


def words() -> tuple[Tensor]:
    return (classes(10, 3, 5),)


def sentence() -> tuple[Tensor, Tensor]:
    return classes(10, 7), ints(0, 3, 3)


def frozen() -> nn.Module:
    return nn.Linear(4, 3).requires_grad_(False)


def half_frozen() -> nn.Module:
    module = nn.Linear(4, 3)
    module.bias.requires_grad_(False)
    return module


def sequence() -> nn.Module:
    first = nn.Linear(4, 4)
    # The same layer twice: its gradient has two parts.
    return nn.Sequential(first, nn.ReLU(inplace=True), nn.Dropout(0.3), first, nn.BatchNorm1d(4))


def parallel() -> nn.Module:
    module = nn.DataParallel(nn.Linear(4, 3))
    module.device_ids = []  # where there are accelerators, too, it runs what it wraps
    return module.cpu()


def typed(dtype: torch.dtype, name: str) -> Case:
    return Case(nn.Linear, (4, 3), lambda: (randn(3, 4, dtype=dtype),), {"dtype": dtype}, note=name)


CASES = [
    Case(nn.Identity, (), matrix),
    Case(nn.Identity, (1, "ignored"), matrix, {"also": 2}),
    Case(nn.Linear, (4, 3), matrix),
    Case(nn.Linear, (4, 3), matrix, {"bias": False}),
    Case(nn.Linear, (4, 3), lambda: (randn(4),), note="one-row"),
    Case(nn.Linear, (4, 3), lambda: (randn(0, 4),), note="no-rows"),
    Case(nn.Linear, (4, 3), lambda: (randn(4, 3).T,), note="transposed"),
    Case(nn.Linear, (4, 3), lambda: (randn(1, 4).expand(3, 4),), note="expanded"),
    Case(nn.Linear, (4, 3), lambda: (torch.randn(3, 4),), note="input-without-grad"),
    Case(nn.Linear, (), matrix, note="frozen", build=frozen),
    Case(nn.Linear, (), matrix, note="half-frozen", build=half_frozen),
    Case(nn.Linear, (150, 200), lambda: (randn(250, 150),), note="large"),
    typed(torch.float64, "double"),
    typed(torch.bfloat16, "bfloat16"),
    typed(torch.complex64, "complex"),
    Case(nn.LazyLinear, (3,), matrix),
    Case(nn.Bilinear, (4, 4, 3), pair),
    Case(nn.CosineSimilarity, (), pair),
    Case(nn.PairwiseDistance, (), pair),
    Case(nn.PairwiseDistance, (1.0,), pair, {"keepdim": True}),
    Case(nn.Sequential, (), matrix, build=sequence),
    Case(nn.DataParallel, (), matrix, build=parallel),
    Case(nn.Embedding, (10, 4), words),
    Case(nn.Embedding, (10, 4), words, {"padding_idx": 0, "scale_grad_by_freq": True}),
    Case(nn.Embedding, (10, 4), words, {"max_norm": 1.0}, note="max_norm"),
    Case(nn.Embedding, (10, 4), words, {"sparse": True}),
    Case(nn.EmbeddingBag, (10, 4), words),
    Case(nn.EmbeddingBag, (10, 4), sentence, {"mode": "sum"}),
    Case(nn.EmbeddingBag, (10, 4), sentence, {"mode": "max"}),
    Case(nn.EmbeddingBag, (10, 4), sentence, {"mode": "mean", "max_norm": 1.0}),
    Case(nn.EmbeddingBag, (10, 4), sentence, {"mode": "sum", "sparse": True}),
    Case(
        nn.EmbeddingBag,
        (10, 4),
        sentence,
        {"mode": "sum"},
        note="weighted",
        named=lambda: {"per_sample_weights": rand(7)},
    ),
]
