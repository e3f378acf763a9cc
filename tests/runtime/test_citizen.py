"""A remote module among local ones: what is done to a parent reaches it, or leaves it alone, as documented."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

import remotemod as rm
from remotemod.testing.helpers import TrackedModule, alive, eventually
from tests.runtime.parents import Block, on_owner


@pytest.fixture
def inproc() -> Iterator[rm.Cluster]:
    with rm.launch(workers=["one"], backend="inproc") as cluster:
        yield cluster


class Parent(nn.Module):
    """Remote children directly, in a list, in a dict and in a Sequential, beside a local one."""

    def __init__(self, build: Callable[[str], nn.Module]) -> None:
        super().__init__()
        self.local = nn.Linear(2, 2)
        self.direct = build("one")
        self.listed = nn.ModuleList([build("two")])
        self.named = nn.ModuleDict({"a": build("one")})
        self.chained = nn.Sequential(build("two"), nn.ReLU())

    def remote(self) -> list[rm.RemoteModule]:
        return [m for m in self.modules() if isinstance(m, rm.RemoteModule)]


def linear(worker: str) -> rm.RemoteModule:
    return rm.RemoteModule(worker, nn.Linear, args=(2, 2))


def give_gradients(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)


def gradients(module: nn.Module) -> list[float | None]:
    return [None if p.grad is None else p.grad.sum().item() for p in module.parameters()]


def frozen(module: nn.Module) -> list[bool]:
    return [not p.requires_grad for p in module.parameters()]


# --- what reaches the remote children ---------------------------------------------------------


def test_print_shows_where_each_part_is(cluster: rm.Cluster) -> None:
    """The worker, the device and the class of each remote part are in the parent's text."""
    text = repr(Parent(linear))
    assert text.count("RemoteLinear(on='one', device='cpu', torch.nn.modules.linear.Linear)") == 2
    assert text.count("RemoteLinear(on='two'") == 2


def test_modes_reach_every_part(cluster: rm.Cluster) -> None:
    """``train`` and ``eval`` of the parent are the remote children's too."""
    parent = Parent(linear)
    assert parent.eval() is parent
    assert [on_owner(m, lambda m: m.training) for m in parent.remote()] == [False] * 4
    parent.train()
    assert [on_owner(m, lambda m: m.training) for m in parent.remote()] == [True] * 4


@pytest.mark.parametrize(("set_to_none", "left"), [(True, None), (False, 0.0)])
def test_zero_grad_of_a_parent_clears_remote_gradients(
    cluster: rm.Cluster, set_to_none: bool, left: float | None
) -> None:
    """The argument reaches the owners; local gradients go as well."""
    parent = Parent(linear)
    give_gradients(parent.local)
    for part in parent.remote():
        on_owner(part, give_gradients)
    parent.zero_grad(set_to_none)
    assert gradients(parent.local) == [left] * 2
    assert [on_owner(part, gradients) for part in parent.remote()] == [[left] * 2] * 4


def test_requires_grad_of_a_parent_freezes_remote_parameters(cluster: rm.Cluster) -> None:
    """Freezing and thawing a parent freezes and thaws its remote children."""
    parent = Parent(linear)
    assert parent.requires_grad_(False) is parent
    assert [on_owner(part, frozen) for part in parent.remote()] == [[True] * 2] * 4
    parent.chained.requires_grad_()
    assert [on_owner(part, frozen)[0] for part in parent.remote()] == [True, True, True, False]


def test_ordinary_walks_change_nothing(cluster: rm.Cluster) -> None:
    """Walking a parent's parameters, in a method of any name, leaves the remote ones alone."""
    parent = Parent(linear)

    def zero_grad() -> int:
        return len(list(parent.parameters())) + len(list(parent.named_parameters()))

    for part in parent.remote():
        on_owner(part, give_gradients)
    assert zero_grad() == 4
    assert [on_owner(part, gradients) for part in parent.remote()] == [[4.0, 2.0]] * 4


class Filtered(nn.Module):
    """Overrides what the walk goes through, and calls what it overrides."""

    def __init__(self) -> None:
        super().__init__()
        self.part = linear("one")
        self.asked = 0

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        yield from super().parameters(recurse)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.asked += 1
        super().zero_grad(set_to_none=set_to_none)


def test_overriding_methods_may_lie_between(cluster: rm.Cluster) -> None:
    """A parent that overrides ``parameters`` and ``zero_grad`` still reaches its remote child."""
    parent = Filtered()
    on_owner(parent.part, give_gradients)
    parent.zero_grad()
    assert on_owner(parent.part, gradients) == [None, None]
    assert parent.asked == 1


@pytest.mark.slow
def test_compiled_code_clears_remote_gradients(inproc: rm.Cluster) -> None:
    """torch.compile leaves the walk to Python, and says nothing about it."""
    parent = Filtered()
    on_owner(parent.part, give_gradients)

    def step(x: Tensor) -> Tensor:
        parent.zero_grad()
        return x + 1

    assert torch.compile(step, backend="eager")(torch.ones(1)).item() == 2
    assert on_owner(parent.part, gradients) == [None, None]


def test_apply_runs_on_the_owner(cluster: rm.Cluster) -> None:
    """A function applied to a parent runs on the remote module and its submodules, over there."""
    parent = nn.Sequential(rm.RemoteModule("one", Block), nn.Linear(2, 2))

    def ones(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.ones_(module.weight)

    assert parent.apply(ones) is parent
    assert parent[0].apply(ones) is parent[0]
    state = parent.state_dict()
    assert all(
        bool((state[key] == 1).all()) for key in ("0.first.weight", "0.inner.0.weight", "1.weight")
    )


# --- what leaves them alone -------------------------------------------------------------------


def test_conversions_leave_remote_parts_where_and_as_they_are(cluster: rm.Cluster) -> None:
    """``to``, ``half``, ``double`` and their like convert the local part alone."""
    parent = Parent(linear)
    for change in (parent.half, parent.double, parent.share_memory, lambda: parent.to("meta")):
        change()
        assert parent.direct.to(torch.float16) is parent.direct
    assert parent.local.weight.is_meta
    assert parent.local.weight.dtype is torch.float64
    assert {value.dtype for value in parent.direct.state_dict().values()} == {torch.float32}
    assert parent.direct.device == "cpu"


def test_members_of_a_parent_are_the_local_ones(cluster: rm.Cluster) -> None:
    """Remote children are among the modules and contribute no parameters and buffers."""
    parent = nn.ModuleDict(
        {"l": nn.BatchNorm1d(2), "r": rm.RemoteModule("one", nn.BatchNorm1d, (2,))}
    )
    assert [name for name, _ in parent.named_parameters()] == ["l.weight", "l.bias"]
    assert {name.partition(".")[0] for name, _ in parent.named_buffers()} == {"l"}
    assert [name for name, _ in parent.named_modules()] == ["", "l", "r"]
    assert list(parent["r"].children()) == []
    assert parameters_to_vector(parent.parameters()).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("method", ["parameters", "named_parameters", "buffers", "named_buffers"])
def test_a_handle_has_no_members_and_says_so(inproc: rm.Cluster, method: str) -> None:
    """Asked for all, it raises at once; who walks module by module finds none."""
    handle = linear("one")
    with pytest.raises(ValueError, match=f"Method ``{method}`` not supported for RemoteModule"):
        getattr(handle, method)()
    assert list(getattr(handle, method)(recurse=False)) == []


# --- hooks ------------------------------------------------------------------------------------


def test_forward_hooks_of_a_handle_run_here(cluster: rm.Cluster) -> None:
    """Pre-hooks change what is sent and hooks what came back."""
    handle = linear("one")
    handle.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    handle.register_forward_hook(lambda m, args, result: result - m.state_dict()["bias"] + 5)
    with torch.no_grad():
        assert torch.allclose(handle(torch.ones(1, 2)), torch.full((1, 2), 5.0))


def test_backward_hooks_of_a_handle_run_here(cluster: rm.Cluster) -> None:
    """Full backward hooks see the gradients of its results and arguments."""
    handle, seen = linear("one"), []
    handle.register_full_backward_pre_hook(lambda m, grads: seen.append(grads[0].shape))
    handle.register_full_backward_hook(lambda m, into, out: seen.append(into[0].shape))
    handle(torch.ones(3, 2, requires_grad=True)).sum().backward()
    assert seen == [(3, 2), (3, 2)]


# --- copies -----------------------------------------------------------------------------------


def test_a_copy_is_another_handle_on_the_same_module(cluster: rm.Cluster) -> None:
    """``copy.copy`` makes no second module; it has the first one's mode, bound and hooks."""
    handle = linear("one").with_options(timeout=17).eval()
    handle.register_forward_hook(lambda m, args, result: result * 0)
    twin = copy.copy(handle)
    assert twin is not handle
    assert type(twin) is type(handle)
    assert not twin.training
    twin.load_state_dict({key: value * 0 + 1 for key, value in handle.state_dict().items()})
    assert bool((handle.state_dict()["weight"] == 1).all())
    with torch.no_grad():
        assert not twin(torch.ones(1, 2)).any()


def test_a_deep_copy_is_a_second_module_on_the_owner(cluster: rm.Cluster) -> None:
    """The copy starts equal and goes its own way: what target networks need."""
    parent = Parent(linear)
    parent.direct.register_forward_hook(lambda m, args, result: result + 1)
    target = copy.deepcopy(parent)
    before = {key: value.clone() for key, value in parent.state_dict().items()}
    assert [part.on for part in target.remote()] == [part.on for part in parent.remote()]
    parent.load_state_dict({key: value + 1 for key, value in before.items()})
    found = target.state_dict()
    assert all(torch.equal(found[key], before[key]) for key in before)
    x = torch.ones(1, 2)
    with torch.no_grad():
        assert torch.equal(
            target.direct(x), nn.functional.linear(x, before["direct.weight"], before["direct.bias"]) + 1
        )  # fmt: skip


def test_what_is_held_twice_is_copied_once(cluster: rm.Cluster) -> None:
    """One handle at two places stays one; two handles on one module become two on one copy."""
    part = linear("one")
    parent = nn.ModuleList([part, part, copy.copy(part)])
    twin = copy.deepcopy(parent)
    assert twin[0] is twin[1]
    assert twin[0] is not twin[2]
    twin[2].load_state_dict({key: value * 0 for key, value in part.state_dict().items()})
    assert not twin[0].state_dict()["weight"].any()
    assert part.state_dict()["weight"].any()


def test_a_deep_copy_of_a_scripted_remote_module(cluster: rm.Cluster) -> None:
    """A ScriptModule is copied on its owner and can be scripted against again."""
    from remotemod.testing.scripts import DoublerInterface, Hybrid

    handle = rm.RemoteModule("one", scripted_doubler, interface=DoublerInterface)
    twin = copy.deepcopy(handle)
    assert torch.equal(torch.jit.script(Hybrid(twin))(torch.ones(2)), torch.full((2,), 5.0))


def scripted_doubler() -> nn.Module:
    from remotemod.testing.scripts import Doubler

    return torch.jit.script(Doubler())


def test_a_copied_module_is_released(cluster: rm.Cluster) -> None:
    """The owner lets the copy go with its last handle, and a handle is no cycle that keeps it."""
    if cluster.backend == "torch_rpc":
        pytest.skip("torch's RPC releases nothing any more after its first shutdown in a process")
    handle = rm.RemoteModule("two", TrackedModule)
    before = rm.rpc_sync("two", alive)
    twin = copy.copy(handle)
    del handle, twin
    gc.collect()
    assert eventually(lambda: rm.rpc_sync("two", alive) == before - 1)


def test_pickling_is_refused_with_a_way_out(cluster: rm.Cluster) -> None:
    """``pickle`` and ``torch.save`` of a parent say what to do instead."""
    parent = Parent(linear)
    says = (
        "Cannot pickle RemoteModule in python pickler.*save state_dict.*argument of a remote call"
    )
    with pytest.raises(RuntimeError, match=says):
        torch.save(parent, io.BytesIO())
    with pytest.raises(RuntimeError, match=says):
        pickle.dumps(parent.direct)
