"""Attention and transformers, with masks, dropout and one tensor given several times."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.training.case import Case, randn

__all__ = ["CASES"]

SMALL: dict[str, Any] = {"dim_feedforward": 12}


def one() -> tuple[Tensor]:
    return (randn(5, 2, 8),)


def two() -> tuple[Tensor, Tensor]:
    return randn(5, 2, 8), randn(4, 2, 8)


def thrice() -> tuple[Tensor, ...]:
    return (randn(5, 2, 8),) * 3


def query_and_keys() -> tuple[Tensor, ...]:
    query, keys = two()
    return query, keys, keys


def three() -> tuple[Tensor, ...]:
    return randn(5, 2, 8), randn(4, 2, 6), randn(4, 2, 10)


def causal(size: int = 5) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool).triu(1)


def padding() -> Tensor:
    return torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))


def decoder() -> nn.Module:
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12), 2)


CASES = [
    Case(nn.MultiheadAttention, (8, 2), thrice, note="self"),
    Case(nn.MultiheadAttention, (8, 2), query_and_keys, note="cross"),
    Case(nn.MultiheadAttention, (8, 2), lambda: tuple(randn(5, 2, 8) for _ in range(3))),
    Case(nn.MultiheadAttention, (8, 2), thrice, {"batch_first": True, "dropout": 0.3}),
    Case(nn.MultiheadAttention, (8, 2), three, {"kdim": 6, "vdim": 10}),
    Case(nn.MultiheadAttention, (8, 2), thrice, {"add_bias_kv": True, "add_zero_attn": True}),
    Case(
        nn.MultiheadAttention,
        (8, 2),
        thrice,
        {"dropout": 0.3},
        note="causal-without-weights",
        named=lambda: {"attn_mask": causal(), "is_causal": True, "need_weights": False},
    ),
    Case(
        nn.MultiheadAttention,
        (8, 2),
        thrice,
        note="padded",
        named=lambda: {"key_padding_mask": padding(), "average_attn_weights": False},
    ),
    Case(
        nn.MultiheadAttention,
        (8, 2),
        thrice,
        note="learned-mask",
        named=lambda: {"attn_mask": randn(5, 5)},
    ),
    Case(nn.TransformerEncoderLayer, (8, 2), one, SMALL),
    Case(nn.TransformerEncoderLayer, (8, 2), one, SMALL, note="eval", mode=False),
    Case(nn.TransformerEncoderLayer, (8, 2), one, {**SMALL, "activation": F.gelu}, note="gelu"),
    Case(
        nn.TransformerEncoderLayer,
        (8, 2),
        one,
        {**SMALL, "norm_first": True, "bias": False, "activation": "gelu"},
        named=lambda: {"src_mask": causal(), "is_causal": True},
    ),
    Case(nn.TransformerDecoderLayer, (8, 2), two, SMALL),
    Case(nn.TransformerDecoderLayer, (8, 2), two, {**SMALL, "norm_first": True}),
    Case(nn.TransformerDecoderLayer, (8, 2), lambda: thrice()[:2], SMALL, note="same-twice"),
    Case(
        nn.TransformerEncoder,
        (),
        lambda: (randn(2, 5, 8),),
        named=lambda: {"src_key_padding_mask": padding()},
        build=encoder,
    ),
    Case(nn.TransformerDecoder, (), two, build=decoder),
    Case(nn.Transformer, (8, 2, 1, 1, 12), two),
    Case(
        nn.Transformer,
        (8, 2, 1, 2, 12),
        lambda: (randn(2, 5, 8), randn(2, 4, 8)),
        {"batch_first": True},
        named=lambda: {"tgt_mask": causal(4), "src_key_padding_mask": padding()},
    ),
]
