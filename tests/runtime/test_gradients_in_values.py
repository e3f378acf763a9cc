"""Gradients through what is odd about values: parameters that travel, objects that hide tensors, recomputed calls."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing.containers import Applies, Hidden, Slotted
from remotemod.testing.pairs import assert_equal, gradients_of

WEIGHT = torch.linspace(0.5, 1.5, 3)
GLOBAL = torch.ones(3, requires_grad=True)


class Net(nn.Module):
    """Does what it is told."""

    def forward(self, box: Any, function: Any) -> Any:
        """What a function makes of a value."""
        return function(box)


@pytest.fixture
def net(cluster: rm.Cluster) -> rm.RemoteModule:
    """On the first worker."""
    if cluster.capabilities.shares_memory:
        pytest.skip("values are handed over as they are")
    return rm.RemoteModule("one", Net, cluster=cluster)


def by_value(cls: type, **attributes: Any) -> Any:
    """A class that no process can import."""
    return type("Local", (cls,), {"__module__": "__main__", **attributes})


def test_a_scripted_module_as_an_argument_gets_its_gradients(cluster: rm.Cluster) -> None:
    """It travels as an archive, and its parameters are leaves where it arrives."""
    scripted = torch.jit.script(nn.Linear(3, 3))
    x = torch.ones(3, requires_grad=True)
    remote = rm.RemoteModule("one", Net, cluster=cluster)
    remote({"m": scripted}, lambda box: box["m"](torch.ones(3)) * 2).sum().backward()
    assert_equal(
        [p.grad for p in scripted.parameters()], [torch.full((3, 3), 2.0), torch.full((3,), 2.0)]
    )
    scripted.zero_grad()
    rm.rpc_sync("one", _applied, (scripted, x)).sum().backward()
    assert_equal([scripted.bias.grad, x.grad], [torch.ones(3), scripted.weight.sum(0).detach()])


def test_a_scripted_module_that_is_hidden_is_refused(net: rm.RemoteModule) -> None:
    """Nobody knows of its parameters."""
    hidden = Hidden(torch.jit.script(nn.Linear(3, 3)))  # type: ignore[arg-type]
    with pytest.raises(rm.GraphError, match=r"args\[0\]\.cache\['k'\] would be lost"):
        net(hidden, lambda box: box.cache["k"](torch.ones(3)))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_lazy_module_as_an_argument_is_refused(net: rm.RemoteModule) -> None:
    """It would get its parameters where it arrives, and nowhere else."""
    layer = nn.LazyLinear(3)
    with pytest.raises(rm.GraphError, match=r"args\[0\].*weight.* lazy"):
        net(layer, lambda box: box(torch.ones(3)))
    with torch.no_grad():
        assert net(layer, lambda box: box(torch.ones(3))).shape == (3,)
    layer(torch.ones(3))
    net(layer, lambda box: box(torch.ones(3))).sum().backward()
    assert_equal([layer.bias.grad], [torch.ones(3)])


def test_a_graph_module_as_an_argument_is_refused(net: rm.RemoteModule) -> None:
    """Its class says itself how it is pickled."""
    traced = torch.fx.symbolic_trace(nn.Linear(3, 3))
    with pytest.raises(rm.GraphError, match=r"args\[0\].*weight"):
        net(traced, lambda box: box(torch.ones(3)))


def test_a_global_variable_of_a_function_is_refused(net: rm.RemoteModule) -> None:
    """The function travels with it, and nobody expects gradients there."""
    with pytest.raises(rm.GraphError, match=r"args\[1\]\.__globals__\['GLOBAL'\]"):
        net(torch.ones(3), lambda box: box * GLOBAL)


def test_a_class_that_travels_with_a_tensor_is_refused(net: rm.RemoteModule) -> None:
    """An attribute of a class by value is as far away as a global variable."""
    cls = by_value(object, scale=torch.ones(3, requires_grad=True))
    with pytest.raises(rm.GraphError, match=r"args\[0\]\.scale"):
        net(cls, lambda box: box.scale)


def test_an_array_of_tensors_is_refused(net: rm.RemoteModule) -> None:
    """An array of objects is pickled whole."""
    array = numpy.empty(2, dtype=object)
    array[1] = torch.ones(3, requires_grad=True)
    with pytest.raises(rm.GraphError, match=r"args\[0\]\.flat\[1\]"):
        net(array, lambda box: box[1])


def test_slots_of_a_class_that_travels_by_value_stay_slots(net: rm.RemoteModule) -> None:
    """There and back, with gradients; the class has no dict where it arrives either."""
    local = by_value(Slotted, __slots__=("more",))

    def put(x: Any) -> Any:
        made = local(x * 2)
        made.more = x
        assert not hasattr(made, "__dict__")
        return made

    x = torch.ones(3, requires_grad=True)
    found = net(x, put)
    assert type(found) is local
    assert not hasattr(found, "__dict__")
    (found.inner() + net(found, lambda box: box.more)).sum().backward()
    assert_equal([x.grad], [torch.full((3,), 3.0)])


def test_a_parameter_arrives_as_a_parameter(net: rm.RemoteModule) -> None:
    """Its gradient comes back, is accumulated here alone, and has derivatives of its own."""
    weight = nn.Parameter(WEIGHT.clone())
    assert net([weight], lambda box: isinstance(box[0], nn.Parameter) and box[0].is_leaf)
    for _ in range(2):
        net([weight], lambda box: box[0] ** 3).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 6 * WEIGHT**2)
    weight.grad = None
    cube = net({"w": weight}, lambda box: box["w"] ** 3).sum()
    (once,) = torch.autograd.grad(cube, weight, create_graph=True)
    once.sum().backward()
    torch.testing.assert_close(weight.grad, 6 * WEIGHT)
    torch.testing.assert_close(once.detach(), 3 * WEIGHT**2)


def test_a_parameter_that_is_given_back_keeps_its_graph(net: rm.RemoteModule) -> None:
    """An identity is one to gradients too; a module that is given back is a copy, with leaves."""
    weight = nn.Parameter(WEIGHT.clone())
    net(weight, lambda box: box).sum().backward()
    assert_equal([weight.grad], [torch.ones(3)])
    rm.rpc_sync("one", _itself, (weight,)).sum().backward()
    assert_equal([weight.grad], [torch.full((3,), 2.0)])
    layer = nn.Linear(2, 2)
    again = net(layer, lambda box: box)
    assert all(parameter.is_leaf for parameter in again.parameters())


def test_a_lambda_that_an_object_calls_itself_by(net: rm.RemoteModule) -> None:
    """A function whose variable is the function."""

    def make(x: Any) -> Any:
        def count(n: int) -> Any:
            return x if n == 0 else count(n - 1)

        return count

    x = torch.ones(3, requires_grad=True)
    net(make(x), lambda box: box(3) * 2).sum().backward()
    net(x, make)(2).sum().backward()
    assert_equal([x.grad], [torch.full((3,), 3.0)])


@pytest.mark.parametrize("layer", [False, True])
def test_recomputed_calls_follow_the_same_tensors(cluster: rm.Cluster, layer: bool) -> None:
    """Deques, sets and modules are run again on copies."""
    remote = rm.RemoteModule("one", Applies, cluster=cluster, recompute=True)
    x, model = torch.ones(3, requires_grad=True), nn.Linear(3, 3)

    def box() -> Any:
        return deque([{x * 2}, model if layer else None])

    def take(box: Any) -> Any:
        (tensor,) = box[0]
        return tensor if box[1] is None else box[1](tensor)

    remote(box(), take).sum().backward()
    found = [x.grad, model.weight.grad, *gradients_of(remote)]
    x.grad = model.weight.grad = None
    local = Applies()
    local(box(), take).sum().backward()
    assert_equal(found, [x.grad, model.weight.grad, local.weight.grad])


def _itself(box: Any) -> Any:
    return box


def _applied(module: Any, x: Any) -> Any:
    return module(x)
