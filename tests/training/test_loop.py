"""A whole training loop, with plain ``backward()``, over a hybrid and over its twin."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.optim import SGD, Adam, Optimizer

import remotemod as rm
from tests.training.hybrids import Model, assert_equal, pair, weights


def forward(model: Model, x: Tensor) -> Tensor:
    for layer in model.layers():
        x = torch.tanh(layer(x)) * model.scale
    return x


def losses(model: Model, optimizer: Optimizer, clip: bool) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(10):
        x, y = torch.randn(2, 8, 4, generator=generator)
        optimizer.zero_grad()
        loss = mse_loss(forward(model, x), y)
        loss.backward()
        if clip and isinstance(optimizer, rm.RemoteOptimizer):
            rm.clip_grad_norm_(model, 0.1)
        elif clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("cls", [SGD, Adam])
def test_training_gives_the_twins_losses(
    cluster: rm.Cluster, cls: type[Optimizer], clip: bool
) -> None:
    """Losses and weights of ten turns are equal to the last bit."""
    model, twin = pair()
    ours = losses(model, rm.RemoteOptimizer(cls, model, lr=0.05), clip)
    assert ours == losses(twin, cls(twin.parameters(), lr=0.05), clip)
    assert_equal(weights(model), weights(twin))


def test_a_closure_computes_the_gradients(cluster: rm.Cluster) -> None:
    """A step whose closure clears, computes and returns the loss is the usual loop."""
    model, twin = pair()
    x = torch.ones(2, 4)

    def step(each: Model, optimizer: Optimizer) -> Tensor:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = forward(each, x).square().sum()
            loss.backward()
            return loss

        return optimizer.step(closure)  # type: ignore[return-value]

    ours, theirs = rm.RemoteOptimizer(SGD, model, lr=0.1), SGD(twin.parameters(), lr=0.1)
    for _ in range(3):
        assert torch.equal(step(model, ours), step(twin, theirs))
    assert_equal(weights(model), weights(twin))
