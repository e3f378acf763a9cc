"""RemoteOptimizer trains a model with remote parts to the very weights of its twin that is all here."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, SparseAdam

import remotemod as rm
from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid
from tests.training.hybrids import (
    Model,
    assert_equal,
    bag,
    give_gradients,
    gradients,
    linear,
    on_owner,
    pair,
    train,
    weights,
)

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")

MOMENTUM = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("cls", "options", "make"),
    [
        (SGD, MOMENTUM, linear),
        (Adam, {"lr": 0.01, "amsgrad": True}, linear),
        (AdamW, {"lr": torch.tensor(0.01)}, linear),
        (Adagrad, {"lr": 0.1}, bag),
        (SGD, {"lr": 0.1}, bag),
    ],
)
def test_ten_steps_equal_the_twins(
    cluster: rm.Cluster, cls: type[Optimizer], options: dict[str, Any], make: Any
) -> None:
    """Dense and sparse gradients, here and on two workers, give the same bits as in one process."""
    model, twin = pair(make)
    train(model, rm.RemoteOptimizer(cls, model, **options), range(10))
    train(twin, cls(twin.parameters(), **options), range(10))
    assert_equal(weights(model), weights(twin))


def test_an_optimizer_for_sparse_gradients_alone(cluster: rm.Cluster) -> None:
    """SparseAdam steps tables here and on workers as it does in one process."""
    model, twin = pair(bag)
    for turn in range(10):
        give_gradients(model, turn)
        give_gradients(twin, turn)
        if turn == 0:
            ours = rm.RemoteOptimizer(SparseAdam, model.layers(), lr=0.1)
            theirs = SparseAdam([layer.weight for layer in twin.layers()], lr=0.1)
        ours.step()
        theirs.step()
        ours.zero_grad()
        theirs.zero_grad()
    assert_equal(weights(model), weights(twin))


def test_one_optimizer_for_each_owner(cluster: rm.Cluster) -> None:
    """Two modules and two groups on one worker are two groups of one optimizer there."""
    both = [rm.RemoteModule("ps0", linear, args=(seed,)) for seed in range(2)]
    before = len(rm.rpc_sync("ps0", made))
    groups = [{"params": both[0]}, {"params": [both[1], linear(2)], "lr": 0.5}]
    optimizer = rm.RemoteOptimizer(Counted, groups, lr=0.1)
    assert rm.rpc_sync("ps0", made)[before:].count(2) == 1
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert [len(group["params"]) for group in optimizer.param_groups] == [0, 2]


_MADE: list[int] = []


class Counted(SGD):
    """Notes its groups in the process where it is built."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr)
        _MADE.append(len(self.param_groups))


def made() -> list[int]:
    return list(_MADE)


def test_a_class_of_the_users_own(cluster: rm.Cluster) -> None:
    """An optimizer that no worker can import goes along, and steps there."""

    class Shrink(Optimizer):
        def __init__(self, params: Any, factor: float) -> None:
            super().__init__(params, {"factor": factor})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(group["factor"])

    model, twin = pair()
    rm.RemoteOptimizer(Shrink, model, 0.5).step()
    assert_equal(weights(model), [w * 0.5 for w in weights(twin)])


def test_references_to_parameters_are_enough(cluster: rm.Cluster) -> None:
    """What DistributedOptimizer takes, a list of references, is taken in the same place."""
    model, twin = pair()
    refs = [*model.first.remote_parameters(), *model.last.remote_parameters()]
    assert all(isinstance(ref, rm.RemoteRef) for ref in refs)
    optimizer = rm.RemoteOptimizer(SGD, refs, lr=0.1)
    here = [*twin.first.parameters(), *twin.last.parameters()]
    local = SGD(here, lr=0.1)
    for one, each in ((model, optimizer), (twin, local)):
        give_gradients(one, 0)
        each.step()
    assert_equal(weights(model), weights(twin))


def test_modules_in_this_process_are_owners_too(cluster: rm.Cluster) -> None:
    """A module placed on ``"cpu"`` is trained beside those on workers."""
    first = rm.RemoteModule("cpu", linear, args=(1,))
    model = Model(first, linear(2), rm.RemoteModule("ps1", linear, args=(3,)))
    twin = Model(linear(1), linear(2), linear(3))
    optimizer = rm.RemoteOptimizer(Adam, model)
    train(model, optimizer, range(3))
    train(twin, Adam(twin.parameters()), range(3))
    assert_equal(weights(model), weights(twin))
    assert "'local': 2 parameters" in repr(optimizer)


def optimize_there(own: rm.RemoteModule, other: rm.RemoteModule) -> list[str]:
    """On ``ps0``: a step that halves the weights of what is there and of what is elsewhere."""
    optimizer = rm.RemoteOptimizer(SGD, [own, other, nn.Linear(1, 1)], lr=1.0, weight_decay=0.5)
    for module in (own, other):
        on_owner(module, fill_gradients)
    optimizer.step()
    return repr(optimizer).splitlines()[1:4]


def fill_gradients(ref: Any) -> None:
    for parameter in ref.local_value().parameters():
        parameter.grad = torch.zeros_like(parameter)


def test_a_worker_optimizes_its_own_and_others(cluster: rm.Cluster) -> None:
    """On a worker, modules of that worker and of another one have their parts beside what is given there."""
    layers = [rm.RemoteModule(on, linear, args=(seed,)) for on, seed in (("ps0", 1), ("ps1", 2))]
    before = [weight.clone() for layer in layers for weight in layer.state_dict().values()]
    parts = rm.rpc_sync("ps0", optimize_there, tuple(layers))
    assert parts == ["  'ps0': 2 parameters", "  'ps1': 2 parameters", "  here: 2 parameters"]
    after = [weight for layer in layers for weight in layer.state_dict().values()]
    assert_equal(after, [weight * 0.5 for weight in before])


def test_scripted_modules_are_trained(cluster: rm.Cluster) -> None:
    """A scripted model with a scripted part on a worker has its parameters like any other."""
    remote = rm.RemoteModule("ps0", Doubler, interface=DoublerInterface)
    scripted = torch.jit.script(Hybrid(remote))
    own = torch.jit.script(linear(1))
    twin = linear(1)
    optimizer = rm.RemoteOptimizer(
        SGD, [scripted, own, rm.RemoteModule("ps1", scripted_linear)], lr=0.1
    )
    assert "'ps1': 2 parameters" in repr(optimizer)
    local = SGD(twin.parameters(), lr=0.1)
    for each, module in ((optimizer, own), (local, twin)):
        module(torch.ones(1, 4)).sum().backward()
        each.step()
    assert_equal([p.detach() for p in own.parameters()], [p.detach() for p in twin.parameters()])


def scripted_linear() -> nn.Module:
    return torch.jit.script(linear(2))


def test_zero_grad_reaches_all(cluster: rm.Cluster) -> None:
    """Gradients become None, or zeros, everywhere."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    give_gradients(model, 0)
    optimizer.zero_grad(set_to_none=False)
    assert_equal(gradients(model), [torch.zeros_like(w) for w in weights(model)])
    optimizer.zero_grad()
    assert gradients(model) == [None] * 7


def test_a_closure_is_evaluated_once(cluster: rm.Cluster) -> None:
    """The closure runs here, with gradients enabled, and its loss comes back."""
    model, twin = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    calls = []

    def closure() -> float:
        calls.append(torch.is_grad_enabled())
        give_gradients(model, 0)
        return 1.5

    with torch.no_grad():
        assert optimizer.step(closure) == 1.5
    train(twin, SGD(twin.parameters(), lr=0.1), range(1))
    assert calls == [True]
    assert_equal(weights(model), weights(twin))


def test_hooks_run_once_and_here(cluster: rm.Cluster) -> None:
    """Hooks before and after a step see the optimizer that they were registered on."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    seen: list[Any] = []
    note: Callable[..., None] = lambda which, *_: seen.append((which, os.getpid()))
    optimizer.register_step_pre_hook(note)
    optimizer.register_step_post_hook(note)
    optimizer.step()
    assert seen == [(optimizer, os.getpid())] * 2


def test_groups_can_be_added(cluster: rm.Cluster) -> None:
    """A group that is added later, with parameters here and there, is trained with its own rate."""
    model, twin = pair()
    optimizer = rm.RemoteOptimizer(SGD, model.first, lr=0.1, momentum=0.9)
    local = SGD(twin.first.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, range(2))
    train(twin, local, range(2))
    model.scale.grad = twin.scale.grad = None
    for layer in (model.last, twin.last, model.middle, twin.middle):
        layer.zero_grad()
    optimizer.add_param_group({"params": [model.middle, model.last], "lr": 0.5})
    local.add_param_group(
        {"params": [*twin.middle.parameters(), *twin.last.parameters()], "lr": 0.5}
    )
    train(model, optimizer, range(2, 5))
    train(twin, local, range(2, 5))
    assert_equal(weights(model), weights(twin))
    assert_equal(optimizer.state_dict(), local.state_dict())


def test_its_text_says_where_the_parts_are(cluster: rm.Cluster) -> None:
    """The representation names the class, the owners and the hyperparameters."""
    model, _ = pair()
    text = repr(rm.RemoteOptimizer(SGD, model, lr=0.25))
    assert "SGD" in text
    assert "here: 3 parameters" in text
    assert "'ps1': 2 parameters" in text
    assert "lr=0.25" in text


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(cluster: rm.Cluster, copier: Callable[[Any], Any]) -> None:
    """Copying and pickling point to state_dict."""
    optimizer = rm.RemoteOptimizer(SGD, linear(0), lr=0.1)
    with pytest.raises(TypeError, match=r"state_dict\(\)"):
        copier(optimizer)


def test_parameters_here_alone(cluster: rm.Cluster) -> None:
    """Without remote parameters it is the optimizer itself, even one that needs its closure often."""
    layer, twin = linear(0), linear(0)
    x = torch.ones(2, 4)

    def closure_of(module: nn.Module, optimizer: Optimizer) -> Callable[[], Any]:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = module(x).square().sum()
            loss.backward()
            return loss

        return closure

    ours, theirs = (
        rm.RemoteOptimizer(torch.optim.LBFGS, layer),
        torch.optim.LBFGS(twin.parameters()),
    )
    assert torch.equal(ours.step(closure_of(layer, ours)), theirs.step(closure_of(twin, theirs)))
    assert_equal(list(layer.parameters()), list(twin.parameters()))


def test_gradient_scales_are_taken_off(cluster: rm.Cluster) -> None:
    """``unscale_`` divides all gradients and finds what is not finite on any owner."""
    model, twin = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    for each in (model, twin):
        give_gradients(each, 0)
    assert optimizer.unscale_(8.0) is False
    assert_equal(gradients(model), [g / 8 for g in gradients(twin)])
    on_owner(model.last, spoil)
    assert optimizer.unscale_(torch.tensor(2.0)) is True


def spoil(ref: Any) -> None:
    ref.local_value().bias.grad[0] = float("inf")


def test_a_scaler_is_refused(cluster: rm.Cluster) -> None:
    """GradScaler, which cannot see remote gradients, says so before anything is stepped."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    before = weights(model)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(()))
    give_gradients(model, 0)
    with pytest.raises(RuntimeError, match="unscale_"):
        scaler.step(optimizer)
    assert_equal(weights(model), before)
    torch.amp.GradScaler("cpu", enabled=False).step(optimizer)
    assert not torch.equal(weights(model)[1], before[1])
