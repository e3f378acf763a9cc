"""What changes in the groups of a RemoteOptimizer, by schedulers or by hand, reaches the owners."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer
from torch.optim import lr_scheduler as schedulers

import remotemod as rm
from tests.training.hybrids import assert_equal, give_gradients, pair, train, weights


def in_sequence(optimizer: Optimizer) -> Any:
    parts = [schedulers.LinearLR(optimizer), schedulers.ExponentialLR(optimizer, 0.5)]
    return schedulers.SequentialLR(optimizer, parts, milestones=[2])


MAKERS: dict[str, tuple[type[Optimizer], dict[str, Any], Callable[[Optimizer], Any]]] = {
    "StepLR": (SGD, {"lr": 0.1}, lambda o: schedulers.StepLR(o, 2, gamma=0.1)),
    "cosine": (Adam, {"lr": torch.tensor(0.1)}, lambda o: schedulers.CosineAnnealingLR(o, 4)),
    "lambda": (SGD, {"lr": 0.1}, lambda o: schedulers.LambdaLR(o, lambda n: 1 / (n + 1))),
    "one cycle, momentum": (
        SGD,
        {"lr": 0.1, "momentum": 0.9},
        lambda o: schedulers.OneCycleLR(o, 0.2, total_steps=6),
    ),
    "one cycle, betas": (
        Adam,
        {"lr": 0.1},
        lambda o: schedulers.OneCycleLR(o, 0.2, total_steps=6),
    ),
    "cyclic": (
        SGD,
        {"lr": 0.1, "momentum": 0.9},
        lambda o: schedulers.CyclicLR(o, 0.1, 0.2, step_size_up=2),
    ),
    "sequence": (SGD, {"lr": 0.1}, in_sequence),
    "plateau": (SGD, {"lr": 0.1}, lambda o: schedulers.ReduceLROnPlateau(o, patience=0)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_schedulers_drive_all_parts(cluster: rm.Cluster, name: str) -> None:
    """A schedule over a hybrid gives the bits that it gives over the twin."""
    cls, options, make = MAKERS[name]
    model, twin = pair()
    for each, optimizer in (
        (model, rm.RemoteOptimizer(cls, model, **copy.deepcopy(options))),
        (twin, cls(twin.parameters(), **copy.deepcopy(options))),
    ):
        scheduler = make(optimizer)
        for turn in range(5):
            train(each, optimizer, range(turn, turn + 1))
            scheduler.step(*([1.0] if name == "plateau" else []))
    assert_equal(weights(model), weights(twin))


def test_changes_by_hand_reach_the_owners(cluster: rm.Cluster) -> None:
    """A group of remote parameters alone takes a new rate and a new weight decay."""
    model, twin = pair()
    ours = rm.RemoteOptimizer(SGD, [{"params": model.first}, {"params": model.last}], lr=0.1)
    theirs = SGD([{"params": layer.parameters()} for layer in (twin.first, twin.last)], lr=0.1)
    for each, optimizer in ((model, ours), (twin, theirs)):
        optimizer.param_groups[1]["lr"] = 0.5
        optimizer.param_groups[0]["weight_decay"] = 0.25
        give_gradients(each, 0)
        optimizer.step()
    assert_equal(weights(model), weights(twin))


class Recording(SGD):
    """Keeps what it finds in its groups at each step."""

    seen: list[dict[str, Any]] = []

    def step(self, closure: Any = None) -> None:
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups]
        Recording.seen.append(groups[0])


def last_seen() -> dict[str, Any]:
    return Recording.seen[-1]


def meddle() -> None:
    """On the owner: gives the group a rate that the caller does not know of."""
    import gc

    for optimizer in gc.get_objects():
        if type(optimizer) is Recording:
            optimizer.param_groups[0]["lr"] = math.pi


def test_only_changes_are_sent(cluster: rm.Cluster) -> None:
    """A step leaves alone what did not change here; keys that go here go there."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(Recording, model.first, lr=0.1)
    (group,) = optimizer.param_groups
    optimizer.step()
    rm.rpc_sync("ps0", meddle)
    group["mark"] = [1]
    optimizer.step()
    assert (last := rm.rpc_sync("ps0", last_seen))["mark"] == [1]
    assert last["lr"] == math.pi
    group["mark"].append(2)
    optimizer.step()
    assert rm.rpc_sync("ps0", last_seen)["mark"] == [1, 2]
    del group["mark"]
    group["lr"] = 0.2
    optimizer.step()
    assert "mark" not in (last := rm.rpc_sync("ps0", last_seen))
    assert last["lr"] == 0.2
