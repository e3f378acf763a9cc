"""The contract's tests of gradients in values: they are followed in all, or the call is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.containers import CONTAINERS, Applies, Hidden, Puts
from remotemod.testing.helpers import apply
from remotemod.testing.pairs import assert_equal, gradients_of, pair
from remotemod.testing.trained import Mixed, local_gradients

__all__ = ["GradientsInValues"]


class GradientsInValues:
    """Tests for :class:`remotemod.testing.BackendConformance`; they ask for its ``cluster``."""

    def test_nested_inputs_get_the_local_gradients(self, cluster: rm.Cluster) -> None:
        """Tensors anywhere in the arguments and results, among other things, are in the graph."""
        remote, local = pair("one", Mixed, cluster)
        found: list[Tensor | None] = []
        expected: list[Tensor | None] = []
        for module, grads in ((remote, found), (local, expected)):
            x, y = torch.arange(3.0, requires_grad=True), torch.ones(2, requires_grad=True)
            result = module({"x": x * 1, "rest": [y, "text", torch.ones(1), None]}, scale=3.0)
            first, weights, plain, nothing = result["list"]
            assert result["both"].note == "a note"
            assert nothing is None
            assert not plain.requires_grad
            assert not result["both"].best.requires_grad
            assert result["same"] is result["both"].product
            (result["both"].product.sum() + first.sum() * 2 + weights.prod()).backward()
            grads += [x.grad, y.grad]
        assert_equal(found, expected)
        assert_equal(gradients_of(remote), local_gradients(local))

    @pytest.mark.parametrize("name", CONTAINERS)
    def test_gradients_reach_what_an_argument_holds(self, cluster: rm.Cluster, name: str) -> None:
        """In a container of any kind, to the bit; and the container stays as it was."""
        put, take = CONTAINERS[name]
        remote, local = pair("one", Applies, cluster)
        grads = []
        for module in (remote, local):
            x = torch.arange(3.0, requires_grad=True)
            inner = x.tanh()
            box = put(inner)
            total: Any = module(box, take).square().sum()
            total.backward()
            assert torch.equal(take(box), inner)
            grads.append(x.grad)
        assert_equal(grads[:1], grads[1:])
        assert_equal(gradients_of(remote), local_gradients(local))

    @pytest.mark.parametrize("name", CONTAINERS)
    def test_gradients_come_from_what_a_result_holds(self, cluster: rm.Cluster, name: str) -> None:
        """In a container of any kind, which has the type that it has locally."""
        put, take = CONTAINERS[name]
        remote, local = pair("one", Puts, cluster)
        grads = []
        for module in (remote, local):
            x = torch.arange(3.0, requires_grad=True)
            box = module(x.tanh(), put)
            assert type(box) is type(put(x))
            total: Any = take(box).square().sum()
            total.backward()
            grads.append(x.grad)
        assert_equal(grads[:1], grads[1:])
        assert_equal(gradients_of(remote), local_gradients(local))

    def test_each_tensor_of_a_set_gets_its_own_gradient(self, cluster: rm.Cluster) -> None:
        """A set has another order in each process."""
        remote = rm.RemoteModule("one", Applies, cluster=cluster)
        for kind in (set, frozenset):
            tensors = [torch.full((3,), float(i), requires_grad=True) for i in range(8)]
            remote(kind(tensors), _cubes).sum().backward()
            weight = torch.linspace(0.5, 1.5, 3)
            for i, x in enumerate(tensors):
                assert x.grad is not None
                torch.testing.assert_close(x.grad, 3.0 * i * i * weight)

    def test_a_container_that_occurs_twice_stays_one(self, cluster: rm.Cluster) -> None:
        """What is shared, or holds itself, arrives so, and its tensors have one gradient."""
        remote = rm.RemoteModule("one", Applies, cluster=cluster)
        x = torch.ones(3, requires_grad=True)
        shared: list[Any] = [x]
        shared.append({"again": shared})
        remote({"a": shared, "b": (shared,)}, _twice).sum().backward()
        assert_equal([x.grad], [torch.linspace(0.5, 1.5, 3) * 2])

    def test_a_module_as_an_argument_gets_its_gradients(self, cluster: rm.Cluster) -> None:
        """It travels by value, and the gradients of its parameters come back, also those of an optimizer's copy."""
        remote = rm.RemoteModule("one", nn.Identity, cluster=cluster)
        for make in (lambda: nn.Linear(3, 3), lambda: nn.LSTM(3, 3)):
            layer, x = make(), torch.randn(2, 3, requires_grad=True)
            result: Any = rm.rpc_sync(remote.on, apply, (layer, x))
            (result if isinstance(result, Tensor) else result[0]).sum().backward()
            found = [x.grad, *local_gradients(layer)]
            x.grad = None
            layer.zero_grad()
            result = layer(x)
            (result if isinstance(result, Tensor) else result[0]).sum().backward()
            assert_equal(found, [x.grad, *local_gradients(layer)])

    def test_a_module_as_an_argument_can_be_trained(self, cluster: rm.Cluster) -> None:
        """Its parameters are leaves where it arrives, and those of what comes back are too."""
        start = nn.Linear(2, 2)
        before = start.bias.detach().clone()
        trained: Any = rm.rpc_sync("one", _trained, (start,))
        assert all(p.is_leaf and isinstance(p, nn.Parameter) for p in trained.parameters())
        assert torch.equal(trained.bias, before - 0.1)
        assert cluster.capabilities.shares_memory or torch.equal(start.bias, before)

    def test_what_cannot_be_entered_is_refused_by_its_path(self, cluster: rm.Cluster) -> None:
        """A gradient is never lost silently, in arguments nor in results; without gradients all goes on."""
        remote, local = pair("one", Applies, cluster)
        x = torch.ones(3, requires_grad=True)
        if cluster.capabilities.shares_memory:
            remote(Hidden(x), _hidden).sum().backward()
            local(Hidden(x), _hidden).sum().backward()
            return
        with pytest.raises(rm.GraphError, match=r"args\[0\]\['a'\]\[1\]\.cache\['k'\]"):
            remote({"a": [1, Hidden(x)]}, lambda box: _hidden(box["a"][1]))
        with pytest.raises(rm.GraphError, match=r"kwargs\['box'\]\.cache\['k'\]"):
            rm.rpc_sync("one", _hidden, kwargs={"box": Hidden(x)})
        with pytest.raises(rm.GraphError, match=r"result\.cache\['k'\]"):
            rm.RemoteModule("one", Puts, cluster=cluster)(x, Hidden)
        assert torch.equal(remote(Hidden(x.detach()), _hidden), local(x.detach(), _itself))
        with torch.no_grad():
            assert torch.equal(remote(Hidden(x), _hidden), local(x, _itself))


def _cubes(box: Any) -> Any:
    return sum(x**3 for x in box)


def _twice(box: Any) -> Any:
    assert box["a"] is box["b"][0]
    assert box["a"][1]["again"] is box["a"]
    return box["a"][0] + box["b"][0][0]


def _hidden(box: Any) -> Any:
    return box.cache["k"]


def _itself(box: Any) -> Any:
    return box


def _trained(model: nn.Module) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model
