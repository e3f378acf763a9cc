"""Gradients here and on workers are clipped by their common norm, to torch's own bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

import remotemod as rm
from tests.training.hybrids import assert_equal, bag, give_gradients, gradients, on_owner, pair

INF = float("inf")


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, INF])
@pytest.mark.parametrize(("max_norm", "foreach"), [(0.5, None), (0.5, False), (1e6, None)])
def test_it_is_torchs_clipping(
    cluster: rm.Cluster, norm_type: float, max_norm: float, foreach: bool | None
) -> None:
    """The norm and the scaled gradients have the bits of the twin's."""
    model, twin = pair()
    for each in (model, twin):
        give_gradients(each, 0)
    ours = rm.clip_grad_norm_(model, max_norm, norm_type, foreach=foreach)
    theirs = clip_grad_norm_(twin.parameters(), max_norm, norm_type, foreach=foreach)
    assert_equal(ours, theirs)
    assert_equal(gradients(model), gradients(twin))


def test_gradients_that_are_not_there_count_nothing(cluster: rm.Cluster) -> None:
    """Without gradients the norm is 0; a part without them is no obstacle."""
    model, twin = pair()
    assert_equal(rm.clip_grad_norm_(model, 1.0), torch.tensor(0.0))
    for each in (model, twin):
        give_gradients(each, 0)
        each.scale.grad = None
    model.first.zero_grad()
    twin.first.zero_grad()
    ours = rm.clip_grad_norm_([model.scale, *model.layers()], 1.0)
    assert_equal(ours, clip_grad_norm_(twin.parameters(), 1.0))
    assert_equal(gradients(model), gradients(twin))


def spoil(ref: Any, value: float) -> None:
    ref.local_value().bias.grad[0] = value


@pytest.mark.parametrize("value", [INF, float("nan")])
def test_a_norm_that_is_not_finite_can_be_an_error(cluster: rm.Cluster, value: float) -> None:
    """With ``error_if_nonfinite`` nothing has been scaled; without, everything is as torch scales it."""
    model, twin = pair()
    for each in (model, twin):
        give_gradients(each, 0)
    on_owner(model.last, spoil, value)
    twin.last.bias.grad[0] = value
    before = [g.nan_to_num() for g in gradients(model)]
    with pytest.raises(RuntimeError, match="left as they are"):
        rm.clip_grad_norm_(model, 1.0, error_if_nonfinite=True)
    assert_equal([g.nan_to_num() for g in gradients(model)], before)
    rm.clip_grad_norm_(model, 1.0)
    clip_grad_norm_(twin.parameters(), 1.0)
    assert_equal(
        [g.nan_to_num(7.0) for g in gradients(model)], [g.nan_to_num(7.0) for g in gradients(twin)]
    )


def test_sparse_gradients_are_clipped(cluster: rm.Cluster) -> None:
    """A table's gradient counts as the dense one would, rows that occur twice included."""
    model, twin = pair(bag)
    for each in (model, twin):
        give_gradients(each, 0)
        give_gradients(each, 1)
    dense: list[Tensor] = [g for g in gradients(twin) if g is not None]
    total = rm.clip_grad_norm_(model, 1.0)
    torch.testing.assert_close(total, torch.cat([g.flatten() for g in dense]).norm())
    for ours, before in zip(gradients(model), dense, strict=True):
        torch.testing.assert_close(ours, before / total)
