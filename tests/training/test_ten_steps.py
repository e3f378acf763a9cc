"""Ten steps of hybrid models, part here and part on workers, end with the weights of a local twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import remotemod as rm
from tests.training.bits import assert_bits
from tests.training.step import seed_generator
from tests.training.switches import SETTINGS

WORKERS = ["one", "two"]

# Builds a module on a worker, or here for the twin.
Place = Callable[..., nn.Module]


class Body(nn.Module):
    """A block with running statistics and an activation in place."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Residual(Body):
    """A block whose input has a gradient of two parts."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


class Hybrid(nn.Module):
    """Here, then what is given, then here again."""

    def __init__(self, *middle: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.middle = nn.ModuleList(middle)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.through(torch.tanh(self.first(x))))

    def through(self, x: Tensor) -> Tensor:
        for module in self.middle:
            x = module(x)
        return x


class Interleaved(Hybrid):
    """Something is computed here between any two workers."""

    def through(self, x: Tensor) -> Tensor:
        for module in self.middle:
            x = module(x).sigmoid() * x
        return x


class Branched(Hybrid):
    """All workers get the same input."""

    def through(self, x: Tensor) -> Tensor:
        return torch.stack([module(x) for module in self.middle]).mean(0)


class Recurrent(Hybrid):
    """The first module is called with its own result: its gradients have several parts."""

    def through(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.middle[0](x)
        return x


# Where a module's input is used beside it as well, no module uses it twice: a gradient of three parts is
# summed in another order if two of them are summed on a worker, and rounds otherwise.
MODELS: dict[str, Callable[[Place], Hybrid]] = {
    "one": lambda place: Hybrid(place("one", Residual)),
    "dropout": lambda place: Hybrid(place("one", Body, 0.3)),
    "chain": lambda place: Hybrid(place("one", Residual), place("two", Residual)),
    "interleaved": lambda place: Interleaved(place("one", Body), place("two", Body)),
    "branched": lambda place: Branched(place("one", Body), place("two", nn.Linear, 8, 8)),
    "recurrent": lambda place: Recurrent(place("two", Residual)),
}

OPTIMIZERS: dict[type[torch.optim.Optimizer], dict[str, Any]] = {
    torch.optim.SGD: {"lr": 0.1, "momentum": 0.9},
    torch.optim.Adam: {"lr": 0.01},
    torch.optim.AdamW: {"lr": 0.01, "weight_decay": 0.1},
}


@pytest.fixture(scope="module", params=SETTINGS)
def options(request: pytest.FixtureRequest, fork_server: None) -> Iterator[dict[str, Any]]:
    """Options of the remote modules; their backend has two workers."""
    backend, options = request.param
    with rm.launch(workers=WORKERS, backend=backend):
        yield options


def seed_workers(number: int) -> None:
    """Seeds the generators of all workers."""
    for worker in WORKERS:
        rm.rpc_sync(worker, seed_generator, (number,))


def train(model: nn.Module, optimizer: Any, seed: Callable[[int], object]) -> list[Tensor]:
    """Ten steps on the same data in the same order; the losses."""
    generator = torch.Generator().manual_seed(1)
    losses = []
    for step in range(10):
        x = torch.randn(5, 6, generator=generator)
        target = torch.randint(3, (5,), generator=generator)
        seed(step)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    "model",
    [m if m == "chain" else pytest.param(m, marks=pytest.mark.slow) for m in MODELS],
)
@pytest.mark.slow
def test_ten_steps_equal_those_of_the_local_twin(
    model: str,
    optimizer: type[torch.optim.Optimizer],
    options: dict[str, Any],
) -> None:
    """Each loss, and in the end each weight and running statistic, has the twin's bits."""
    torch.manual_seed(0)
    twin = MODELS[model](lambda worker, cls, *args: cls(*args))
    hybrid = MODELS[model](lambda worker, cls, *args: rm.RemoteModule(worker, cls, args, **options))
    hybrid.load_state_dict(twin.state_dict())

    remotely = rm.RemoteOptimizer(optimizer, hybrid, **OPTIMIZERS[optimizer])
    losses = train(hybrid, remotely, seed_workers)
    here = optimizer(twin.parameters(), **OPTIMIZERS[optimizer])
    assert_bits(losses, train(twin, here, torch.manual_seed), "losses")
    assert_bits(dict(hybrid.state_dict()), dict(twin.state_dict()), "weights")
