"""The state of a RemoteOptimizer is that of a torch optimizer over the same model all in one place."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam

import remotemod as rm
from tests.training.hybrids import Model, assert_equal, pair, train, weights


def groups_of(model: Model) -> list[dict[str, Any]]:
    """Two groups that both have parameters here and on workers."""
    first, middle, last = (
        [layer] if isinstance(layer, rm.RemoteModule) else list(layer.parameters())
        for layer in model.layers()
    )
    return [{"params": [*first, model.scale], "lr": 0.02}, {"params": [*middle, *last]}]


def saved(state: dict[str, Any]) -> dict[str, Any]:
    """The state after it was in a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file)


def test_the_formats_are_the_same(cluster: rm.Cluster) -> None:
    """Keys, numbers, groups and tensors equal those of the twin, before the first step and after."""
    model, twin = pair()
    ours = rm.RemoteOptimizer(Adam, groups_of(model), lr=0.01)
    theirs = Adam(groups_of(twin), lr=0.01)
    assert_equal(ours.state_dict(), theirs.state_dict())
    train(model, ours, range(2))
    train(twin, theirs, range(2))
    assert_equal(ours.state_dict(), theirs.state_dict())


def test_a_state_goes_on_in_one_process(cluster: rm.Cluster) -> None:
    """What was saved of a hybrid goes on to the same bits in a torch optimizer over the twin."""
    model, twin = pair()
    ours = rm.RemoteOptimizer(SGD, model, lr=0.1, momentum=0.9)
    train(model, ours, range(3))
    state = saved({"optimizer": ours.state_dict(), "weights": weights(model)})
    with torch.no_grad():
        for parameter, value in zip(twin.parameters(), state["weights"], strict=True):
            parameter.copy_(value)
    theirs = SGD(twin.parameters(), lr=5.0)
    theirs.load_state_dict(state["optimizer"])
    train(model, ours, range(3, 6))
    train(twin, theirs, range(3, 6))
    assert_equal(weights(model), weights(twin))


def test_a_state_goes_on_in_many_processes(cluster: rm.Cluster) -> None:
    """What was saved of the twin goes on to the same bits on the owners, hyperparameters and all."""
    model, twin = pair()
    theirs = Adam(groups_of(twin), lr=0.01, betas=(0.5, 0.9))
    train(twin, theirs, range(3))
    model.scale.data.copy_(twin.scale.data)
    for mine, other in zip(model.layers(), twin.layers(), strict=True):
        mine.load_state_dict(other.state_dict())
    ours = rm.RemoteOptimizer(Adam, groups_of(model))
    scheduler = torch.optim.lr_scheduler.StepLR(ours, 1, gamma=0.5)
    ours.load_state_dict(saved(theirs.state_dict()))
    train(model, ours, range(3, 6))
    train(twin, theirs, range(3, 6))
    assert_equal(weights(model), weights(twin))
    scheduler.step()
    for group in theirs.param_groups:
        group["lr"] *= 0.5
    train(model, ours, range(6, 8))
    train(twin, theirs, range(6, 8))
    assert_equal(weights(model), weights(twin))


def test_a_loaded_state_is_the_owners_own(cluster: rm.Cluster) -> None:
    """Steps after loading do not write into what was loaded."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1, momentum=0.9)
    train(model, optimizer, range(2))
    state = copy.deepcopy(optimizer.state_dict())
    kept = copy.deepcopy(state)
    optimizer.load_state_dict(state)
    train(model, optimizer, range(2))
    assert_equal(state, kept)


def test_other_groups_are_refused_before_anything_is_loaded(cluster: rm.Cluster) -> None:
    """Another number of groups, or of parameters in one, is an error that leaves all as it was."""
    model, twin = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1, momentum=0.9)
    train(model, optimizer, range(2))
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match="2 parameter groups and the optimizer 1"):
        optimizer.load_state_dict(SGD(groups_of(twin), lr=0.1).state_dict())
    with pytest.raises(ValueError, match="has 2 parameters and the optimizer's 7"):
        optimizer.load_state_dict(SGD(twin.first.parameters(), lr=0.1).state_dict())
    assert_equal(optimizer.state_dict(), before)


def test_names_are_kept(cluster: rm.Cluster) -> None:
    """Names given with parameters and references are in the state, as torch has them."""
    model, twin = pair()
    refs = zip(("first.weight", "first.bias"), model.first.remote_parameters(), strict=True)
    ours = rm.RemoteOptimizer(SGD, [("scale", model.scale), *refs], lr=0.1, momentum=0.9)
    theirs = SGD(list(twin.named_parameters())[:3], lr=0.1, momentum=0.9)
    train(model, ours, range(2))
    train(twin, theirs, range(2))
    assert_equal(ours.state_dict(), theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["param_names"] == ["scale", "first.weight", "first.bias"]
    with pytest.raises(ValueError, match="with names"):
        ours.add_param_group({"params": model.middle})


def test_hooks_on_states_run(cluster: rm.Cluster) -> None:
    """Hooks may change what is saved and what is loaded."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "more": 1})
    state = optimizer.state_dict()
    assert state["more"] == 1
    state["param_groups"][0]["lr"] = 0.2
    seen = []
    optimizer.register_load_state_dict_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(state)
    assert seen == ["before", 0.2]
