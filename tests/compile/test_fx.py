"""``torch.fx.symbolic_trace`` sees remote modules as leaves, whatever class of handle and whatever tracer."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

import remotemod as rm
from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid
from tests.backends import BACKENDS


@pytest.fixture(scope="module", params=BACKENDS)
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    """One worker."""
    with rm.launch(workers=["one"], backend=request.param) as cluster:
        yield cluster


class Part(nn.Module):
    """What is remote."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).relu()

    def scaled(self, x: Tensor, rest: dict[str, Tensor], by: float = 2.0) -> Tensor:
        return (self.linear(x) + rest["more"]) * by


class Whole(nn.Module):
    """Calls its part once."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.first(x)) + 1


class Methods(Whole):
    """Calls other methods, one of them asynchronously."""

    def forward(self, x: Tensor) -> Tensor:
        later = self.part.forward_async(x)
        scaled = self.part.scaled(x, {"more": self.first(x)}, by=3.0)
        return later.wait() + scaled


class Named(rm.RemoteModule):
    """A user's subclass."""

    def hello(self) -> str:
        return "hello"


def generated(folder: Path) -> type:
    """The class of a stub that was generated into a file and imported."""
    path = folder / "stub_of_part.py"
    path.write_text(rm.render(rm.read_interface(Part)))
    spec = importlib.util.spec_from_file_location("stub_of_part", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["stub_of_part"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, module.__all__[0])


def nodes(traced: fx.GraphModule) -> list[tuple[str, Any]]:
    return [(node.op, node.target) for node in traced.graph.nodes]


@pytest.mark.parametrize("kind", ["plain", "subclass", "stub"])
def test_a_call_is_one_node(cluster: rm.Cluster, kind: str, tmp_path: Path) -> None:
    """Of any class of handle; the graph calls the very handle, and its results and gradients are the model's."""
    cls: Any = {"plain": lambda: rm.RemoteModule, "subclass": lambda: Named}.get(
        kind, lambda: generated(tmp_path)
    )()
    remote = cls("one", Part, cluster=cluster)
    model = Whole(remote)
    traced = fx.symbolic_trace(model)
    assert [node for node in nodes(traced) if node[0] == "call_module"] == [
        ("call_module", "first"),
        ("call_module", "part"),
    ]
    assert traced.part is remote
    assert "self.part(first)" in traced.code
    traced.graph.lint()
    grads = []
    for each in (model, traced):
        x = torch.arange(6.0).view(2, 3).requires_grad_()
        each.zero_grad()
        result = each(x)
        result.sum().backward()
        grads.append(
            (
                result,
                x.grad,
                each.first.weight.grad.clone(),
                rm.rpc_sync("one", _gradient, (remote.module_rref,)),
            )
        )
    for expected, found in zip(*grads, strict=True):
        assert torch.equal(expected, found)


def _gradient(ref: Any) -> Tensor:
    return ref.local_value().linear.weight.grad.clone()


def test_other_methods_are_nodes_that_name_the_handle(cluster: rm.Cluster) -> None:
    """A method and an asynchronous form with traced arguments, nested ones too, are called as the graph runs."""
    remote = rm.RemoteModule("one", Part, cluster=cluster)
    model = Methods(remote)
    traced = fx.symbolic_trace(model)
    found = nodes(traced)
    assert ("call_method", "forward_async") in found
    assert ("call_method", "scaled") in found
    assert ("call_method", "wait") in found
    assert found.count(("get_attr", "part")) == 2
    traced.graph.lint()
    for x in (torch.randn(2, 3), torch.randn(5, 3)):
        assert torch.equal(traced(x), model(x))


def test_a_scriptable_handle_is_traced_too(cluster: rm.Cluster) -> None:
    """Its stub has operators for TorchScript, which have no place in the graph."""
    remote = rm.RemoteModule("one", Doubler, interface=DoublerInterface, cluster=cluster)
    traced = fx.symbolic_trace(Hybrid(remote))
    assert not [node for node in nodes(traced) if "remotemod" in str(node[1])]
    assert torch.equal(traced(torch.ones(2)), torch.full((2,), 5.0))


def test_hooks_run_once_and_when_the_graph_does(cluster: rm.Cluster) -> None:
    """A hook on the handle is not traced but called, as on any leaf."""
    remote = rm.RemoteModule("one", nn.Identity, cluster=cluster)
    seen: list[Any] = []
    remote.register_forward_hook(lambda module, args, result: seen.append(type(args[0])))
    traced = fx.symbolic_trace(nn.Sequential(remote))
    assert not seen
    traced(torch.ones(1))
    assert seen == [Tensor]


def test_graph_modules_are_copied_changed_and_traced_again(cluster: rm.Cluster) -> None:
    """Copies have copies of the remote part, and what tools make of the graph still calls it."""
    model = Methods(rm.RemoteModule("one", Part, cluster=cluster))
    traced = fx.symbolic_trace(model)
    x = torch.randn(2, 3)
    expected = model(x)
    twin = copy.deepcopy(traced)
    assert twin.part is not traced.part
    traced.recompile()
    for each in (twin, traced, fx.symbolic_trace(traced), fx.Transformer(traced).transform()):
        assert torch.equal(each(x), expected)
    twin.part.requires_grad_(False)
    twin.part.load_state_dict({k: v * 0 for k, v in twin.part.state_dict().items()})
    assert torch.equal(traced(x), expected)
    assert torch.equal(fx.Interpreter(traced).run(x), expected)


def test_a_tracer_of_the_users_may_look_inside(cluster: rm.Cluster) -> None:
    """Where a tracer has no leaves, the handle's forward is a node all the same."""

    class Curious(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return False

    model = Whole(rm.RemoteModule("one", Part, cluster=cluster))
    graph = Curious().trace(model)
    assert ("call_method", "forward") in [(node.op, node.target) for node in graph.nodes]
    x = torch.randn(2, 3)
    assert torch.equal(fx.GraphModule(model, graph)(x), model(x))


def test_a_handle_outside_of_the_model_is_refused(cluster: rm.Cluster) -> None:
    """The graph could not name it; the error says to make it an attribute."""
    remote = rm.RemoteModule("one", Part, cluster=cluster)

    class Outside(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return remote.scaled(x, {"more": x})

    with pytest.raises(rm.RemoteModError, match=r"self\.part = "):
        fx.symbolic_trace(Outside())


def test_a_proxy_does_not_travel(cluster: rm.Cluster) -> None:
    """Where nothing is traced, what stands for a value is refused instead of being copied."""
    if cluster.capabilities.shares_memory:
        pytest.skip("values are handed over as they are")
    remote = rm.RemoteModule("one", Part, cluster=cluster)
    proxy = fx.Proxy(fx.Graph().placeholder("x"))
    with pytest.raises(rm.ProtocolError, match=r"torch\.fx"):
        remote(proxy)


def test_calls_without_traced_arguments_are_made(cluster: rm.Cluster) -> None:
    """As with every function: what depends on no input is computed while the model is traced."""
    if cluster.capabilities.shares_memory:
        pytest.skip(
            "a module of this very process cannot run while torch.fx has nn.Module's calls patched"
        )
    remote = rm.RemoteModule("one", Part, cluster=cluster)
    constant = torch.ones(1, 3)

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = remote

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return x + self.part.forward(constant)

    with torch.no_grad():
        traced, expected = fx.symbolic_trace(Constant()), remote(constant)
        assert torch.equal(traced(torch.zeros(1, 3)), expected)


def test_the_class_says_where_it_comes_from(cluster: rm.Cluster) -> None:
    """What makes a handle a leaf changes nothing of its class, and scripts do not see it."""
    remote = Named("one", Doubler, interface=DoublerInterface, cluster=cluster)
    assert isinstance(remote, Named)
    assert type(remote).__module__.startswith("remotemod")
    assert not torch.jit.script(remote)._c.hasattr("__module__")
