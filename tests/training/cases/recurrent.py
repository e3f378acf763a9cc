"""Recurrent networks and their cells: nested states in and out, and packed sequences."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from tests.training.case import Case, randn

__all__ = ["CASES"]


def rows() -> tuple[Tensor]:
    return (randn(5, 2, 4),)


def with_state(layers: int = 1, width: int = 3) -> tuple[Tensor, Tensor]:
    return randn(5, 2, 4), randn(layers, 2, width)


def with_states(width: int = 3) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    return randn(5, 2, 4), (randn(1, 2, width), randn(1, 2, 3))


def packed() -> tuple[PackedSequence]:
    return (pack_padded_sequence(randn(5, 2, 4), [5, 3]),)


def packed_unsorted() -> tuple[PackedSequence]:
    return (pack_padded_sequence(randn(5, 3, 4), [2, 5, 3], enforce_sorted=False),)


def step() -> tuple[Tensor]:
    return (randn(2, 4),)


DEEP: dict[str, Any] = {"num_layers": 2, "dropout": 0.4, "bidirectional": True}

CASES = [
    Case(nn.RNN, (4, 3), rows),
    Case(nn.RNN, (4, 3), with_state, {"nonlinearity": "relu"}),
    Case(nn.RNN, (4, 3), rows, DEEP, note="deep"),
    Case(nn.RNN, (4, 3), packed, note="packed"),
    Case(nn.GRU, (4, 3), rows),
    Case(nn.GRU, (4, 3), with_state, note="state"),
    Case(nn.GRU, (4, 3), rows, DEEP, note="deep"),
    Case(nn.GRU, (4, 3), packed_unsorted, note="packed"),
    Case(nn.LSTM, (4, 3), rows),
    Case(nn.LSTM, (4, 3), with_states, note="states"),
    Case(nn.LSTM, (4, 3), rows, {"batch_first": True, "bias": False}),
    Case(nn.LSTM, (4, 3), lambda: with_states(2), {"proj_size": 2}),
    Case(nn.LSTM, (4, 3), rows, DEEP, note="deep"),
    Case(nn.LSTM, (4, 3), packed, note="packed"),
    Case(nn.LSTM, (4, 3), packed_unsorted, note="packed-unsorted"),
    Case(nn.LSTM, (4, 3), lambda: (randn(5, 4),), note="unbatched"),
    Case(nn.RNNCell, (4, 3), step),
    Case(nn.RNNCell, (4, 3), lambda: (randn(2, 4), randn(2, 3)), {"nonlinearity": "relu"}),
    Case(nn.GRUCell, (4, 3), step),
    Case(nn.GRUCell, (4, 3), lambda: (randn(2, 4), randn(2, 3)), note="state"),
    Case(nn.LSTMCell, (4, 3), step),
    Case(nn.LSTMCell, (4, 3), lambda: (randn(2, 4), (randn(2, 3), randn(2, 3))), note="states"),
]
