"""What can be given to optimize, in which order it counts, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD

import remotemod as rm
from tests.training.hybrids import Model, assert_equal, linear, pair, train, weights


def sizes(optimizer: rm.RemoteOptimizer) -> list[int]:
    return [len(group["params"]) for group in optimizer.state_dict()["param_groups"]]


def test_every_form_is_taken(cluster: rm.Cluster) -> None:
    """Modules, parameters, references, mixtures, generators and groups all name parameters."""
    model, _ = pair()

    def mixture() -> Iterator[Any]:
        yield model.scale
        yield from model.first.remote_parameters()
        yield model.last
        yield model.middle

    groups = [{"params": mixture(), "lr": 0.5}]
    (bias,) = model.first.remote_parameters()[1:]
    for given, expected in (
        (model, [7]),
        (model.first, [2]),
        (model.scale, [1]),
        (bias, [1]),
        (tuple(mixture()), [7]),
        (mixture(), [7]),
        (groups, [7]),
        (model.middle.named_parameters(), [2]),
        ([{"params": model.scale}, {"params": model.last}], [1, 2]),
    ):
        assert sizes(rm.RemoteOptimizer(SGD, given, lr=0.1)) == expected


def tied() -> nn.Module:
    """Two layers with one weight."""
    both = nn.Sequential(linear(0), linear(1))
    both[1].weight = both[0].weight
    return both


def test_what_is_shared_counts_once(cluster: rm.Cluster) -> None:
    """In one model, a remote module that occurs twice and tied weights on a worker count once."""
    remote = rm.RemoteModule("ps0", tied)
    middle = linear(2)
    middle.weight = (scale := nn.Parameter(torch.ones(4, 4)))
    model = Model(remote, middle, remote)
    model.scale = scale
    other = remote.with_options(timeout=5)
    assert sizes(rm.RemoteOptimizer(SGD, model, lr=0.1)) == [5]
    assert sizes(rm.RemoteOptimizer(SGD, nn.ModuleList([remote, other]), lr=0.1)) == [3]


def test_a_remote_module_deep_in_a_model_has_its_place(cluster: rm.Cluster) -> None:
    """Parameters are numbered as in the twin, wherever the remote module stands."""

    def nested(inner: nn.Module) -> Model:
        return Model(nn.Sequential(linear(5), nn.ModuleDict({"x": inner})), linear(6), linear(7))

    remote = rm.RemoteModule("ps0", tied)
    ours = rm.RemoteOptimizer(SGD, nested(remote), lr=0.1, momentum=0.9)
    places = [str(site) for site in ours._shards.layout[0]]
    assert places == ["here"] * 3 + ["'ps0'"] * 3 + ["here"] * 4
    assert len(list(nested(tied()).parameters())) == 10


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "nothing to optimize"),
        (nn.ReLU(), ValueError, "nothing to optimize"),
        ([{"params": []}], ValueError, "nothing to optimize"),
        (3.0, TypeError, "float 3.0"),
        ("weights", TypeError, "str 'weights'"),
        ({"params": []}, TypeError, "list of groups"),
        ([torch.ones(2), 3], TypeError, r"params_or_modules\[1\] is int 3"),
        ([[torch.ones(2)]], TypeError, "is list"),
        ({torch.ones(2)}, TypeError, "no order"),
        ([{"lr": 0.1}], TypeError, "has no 'params'"),
        ([{"params": torch.ones(2)}, torch.ones(2)], TypeError, "among groups"),
        ([("a", torch.ones(2)), torch.ones(2)], ValueError, "some have not"),
        ([("a", nn.Linear(1, 1))], TypeError, "names a module"),
        ([torch.ones(2, requires_grad=True) * 2], ValueError, "non-leaf"),
    ],
)
def test_what_is_no_parameter_is_refused(given: Any, error: type[Exception], message: str) -> None:
    """The error says what and where it is, and what would be taken."""
    with pytest.raises(error, match=message):
        rm.RemoteOptimizer(SGD, given, lr=0.1)


def test_nothing_on_a_worker_is_nothing(cluster: rm.Cluster) -> None:
    """A remote module without parameters gives nothing to optimize, and is no obstacle beside others."""
    empty = rm.RemoteModule("ps0", nn.ReLU)
    with pytest.raises(ValueError, match="nothing to optimize"):
        rm.RemoteOptimizer(SGD, empty, lr=0.1)
    optimizer = rm.RemoteOptimizer(SGD, [empty, linear(0)], lr=0.1)
    optimizer.step()
    assert "ps0" not in repr(optimizer)


def test_a_parameter_is_given_once(cluster: rm.Cluster) -> None:
    """The same parameter in a list, or in two groups, here or on a worker, is an error of its owner."""
    model, _ = pair()
    for twice in (
        [model.scale, model.scale],
        [model.first, *model.first.remote_parameters()],
        [{"params": model.first}, {"params": model.first}],
        [model, model.last],
    ):
        with pytest.raises(ValueError, match="given twice"):
            rm.RemoteOptimizer(SGD, twice, lr=0.1)


def test_a_reference_to_something_else_is_refused(cluster: rm.Cluster) -> None:
    """The owner says what the reference is to."""
    number = rm.remote("ps0", int, ("3",))
    with pytest.raises(TypeError, match="on 'ps0' is to a int, which is no parameter"):
        rm.RemoteOptimizer(SGD, [number], lr=0.1)
    module = rm.RemoteModule("ps0", linear, args=(0,)).get_module_rref()
    with pytest.raises(TypeError, match="RemoteModule itself"):
        rm.RemoteOptimizer(SGD, [module], lr=0.1)


def test_the_classes_own_errors_arrive(cluster: rm.Cluster) -> None:
    """What the optimizer's constructor raises on an owner is of its own type."""
    remote = rm.RemoteModule("ps0", linear, args=(0,))
    with pytest.raises(ValueError, match="Invalid learning rate"):
        rm.RemoteOptimizer(SGD, remote, lr=-1.0)
    with pytest.raises(TypeError, match="speed"):
        rm.RemoteOptimizer(SGD, remote, speed=1)
    with pytest.raises(TypeError, match="optimizer_cls"):
        rm.RemoteOptimizer(remote, SGD, lr=1.0)  # type: ignore[arg-type]


def test_a_closure_that_is_wanted_often_is_refused(cluster: rm.Cluster) -> None:
    """LBFGS cannot be taken apart: it is refused when it is built, or gets remote parameters."""
    remote = rm.RemoteModule("ps0", linear, args=(0,))
    with pytest.raises(ValueError, match=r"LBFGS\.step evaluates its closure"):
        rm.RemoteOptimizer(LBFGS, remote)
    with pytest.raises(ValueError, match=r"LBFGS\.step evaluates its closure"):
        rm.RemoteOptimizer(LBFGS, linear(0)).add_param_group({"params": remote})


def test_an_autograd_context_is_no_closure(cluster: rm.Cluster) -> None:
    """Who comes from DistributedOptimizer.step(context_id) is told where gradients must be."""
    optimizer = rm.RemoteOptimizer(SGD, rm.RemoteModule("ps0", linear, args=(0,)), lr=0.1)
    with pytest.raises(TypeError, match=r"loss\.backward\(\)"):
        optimizer.step(1)  # type: ignore[arg-type]


def test_a_group_that_is_refused_changes_nothing(cluster: rm.Cluster) -> None:
    """When one owner cannot take its share of a new group, no other keeps its own."""
    model, twin = pair()
    optimizer = rm.RemoteOptimizer(SGD, [model.first, model.last], lr=0.1, momentum=0.9)
    text = repr(optimizer)
    more = rm.RemoteModule("ps0", linear, args=(9,))
    with pytest.raises(ValueError, match="given twice"):
        optimizer.add_param_group({"params": [more, model.middle, model.last]})
    assert repr(optimizer) == text
    optimizer.add_param_group({"params": [model.scale, model.middle, more]})
    local = SGD([*twin.first.parameters(), *twin.last.parameters()], lr=0.1, momentum=0.9)
    local.add_param_group({"params": [twin.scale, *twin.middle.parameters()]})
    train(model, optimizer, range(3))
    train(twin, local, range(3))
    assert_equal(weights(model), weights(twin))
