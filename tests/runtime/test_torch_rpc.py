"""torch_rpc: the contract of every backend, and what this one alone has of torch."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed.rpc as rpc
from torch import Tensor, nn
from torch._C._distributed_rpc import PyRRef

import remotemod as rm
from remotemod.testing import BackendConformance
from remotemod.testing.scripts import DoublerInterface, Hybrid
from tests.examples.strangers import ROOT
from tests.preloaded import programs
from tests.runtime import first_agent
from tests.runtime import torch_rpc_zoo as zoo

X = torch.ones(2)


@pytest.mark.slow
class TestTorchRpc(BackendConformance):
    """Worker processes over torch's RPC."""

    backend = "torch_rpc"


@pytest.fixture(scope="module")
def cluster(fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers, launched once: torch allows a process one agent at a time."""
    with rm.launch(workers=["one", "two"], backend="torch_rpc") as cluster:
        yield cluster


@pytest.fixture
def many(cluster: rm.Cluster) -> rm.RemoteModule:
    """A scripted module with an interface, which TorchScript reaches by itself."""
    return rm.RemoteModule("one/cpu", zoo.scripted_many, interface=zoo.ManyInterface)


# --- the native path --------------------------------------------------------------------------


def test_a_scripted_module_is_reached_natively(many: rm.RemoteModule) -> None:
    """Every kind of result comes back as from a local module, eagerly and asynchronously."""
    assert zoo.is_native(many)
    local = zoo.Many()
    with torch.no_grad():
        assert torch.equal(many(X, 3), local(X, 3))
        assert torch.equal(many(X), local(X))
        assert torch.equal(many.forward_async(X, times=4).wait(10), local(X, 4))
        assert many.maybe(None) is None
        assert torch.equal(many.maybe(X), X + 1)
        found = many.table({"a": X}, 2.0)
        assert list(found) == ["a"]
        assert torch.equal(found["a"][1], X * 2)
        assert many.number(X) == 2.0
        assert many.nothing() is None
        assert many.nothing_async().wait() is None
        word, same = many.named(X, word="w")
        assert word == "w"
        assert torch.equal(same, X)


def test_a_named_tuple_keeps_its_class(many: rm.RemoteModule) -> None:
    """What TorchScript would return as a class of its own goes through Python."""
    found = many.pair(X)
    assert type(found) is zoo.Pair
    assert torch.equal(found.second, X + 1)


def test_a_scripted_caller_reaches_it_natively(many: rm.RemoteModule) -> None:
    """Scripted code calls torch's RPC itself, for plain types, and a named tuple by the operators."""
    scripted = torch.jit.script(many)
    assert "prim::rpc_async" in str(scripted.forward.graph)
    assert "prim::rpc_async" not in str(scripted.pair.graph)
    with torch.no_grad():
        assert torch.equal(scripted(X, 3), X * 3)
        assert torch.equal(scripted.forward_async(X, 3).wait(), X * 3)
        assert torch.equal(scripted.table({"a": X}, 2.0)["a"][1], X * 2)
        assert scripted.maybe(None) is None
        assert torch.equal(scripted.pair(X)[1], X + 1)
        assert scripted.named(X, word="w")[0] == "w"


def test_an_unscripted_module_answers_scripted_callers(cluster: rm.Cluster) -> None:
    """The interface alone makes a handle scriptable; Python runs the module."""
    remote = rm.RemoteModule("one/cpu", zoo.Many, interface=zoo.ManyInterface)
    assert not zoo.is_native(remote)
    assert torch.equal(torch.jit.script(remote)(X, 3), X * 3)


def test_an_interface_in_a_function_is_native_too(cluster: rm.Cluster) -> None:
    """What no worker can import is defined by the stub itself."""

    @torch.jit.interface
    class Local:
        def forward(self, x: Tensor, times: int) -> Tensor:
            pass

    remote = rm.RemoteModule("one/cpu", zoo.scripted_many, interface=Local)
    assert zoo.is_native(remote)
    assert torch.equal(torch.jit.script(remote)(X, 3), X * 3)


def test_an_interface_with_the_asynchronous_form_is_native_too(cluster: rm.Cluster) -> None:
    """What the interface says of the remote module alone is not asked of the module behind it."""
    remote = rm.RemoteModule("one/cpu", zoo.scripted_doubler, interface=DoublerInterface)
    assert zoo.is_native(remote)
    scripted = torch.jit.script(Hybrid(remote))
    with torch.no_grad():
        assert torch.equal(scripted(X), X * 5)


def test_pre_generated_stubs_are_native(cluster: rm.Cluster, tmp_path: Path) -> None:
    """A stub file, which moves tensors to the module's device and back, takes the native path as well."""
    (made,) = rm.generate(f"{zoo.__name__}:ManyInterface", tmp_path)
    spec = importlib.util.spec_from_file_location("remote_many_stub", made.path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["remote_many_stub"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    remote = module.RemoteManyInterface("two/cpu", zoo.scripted_many)
    assert zoo.is_native(remote)
    scripted = torch.jit.script(remote)
    with torch.no_grad():
        for call in (remote, scripted):
            assert torch.equal(call(X, 3), X * 3)
            assert call.maybe(None) is None
            assert torch.equal(call.table({"a": X}, 2.0)["a"][1], X * 2)


def test_a_scripted_error_has_its_type(many: rm.RemoteModule) -> None:
    """A ValueError that TorchScript raised on the owner is one here, with the remote traceback."""
    with pytest.raises(ValueError, match="times must not be negative") as caught:
        many(X, -1)
    assert isinstance(caught.value, rm.RemoteError)
    assert "TorchScript" in caught.value.remote_traceback
    with pytest.raises(RuntimeError, match="times must not be negative"):
        torch.jit.script(many)(X, -1)


# Torch says once that the worker's side of its RPC is not in the profile.
@pytest.mark.filterwarnings("ignore:Profiling a distributed call")
def test_a_scripted_call_shows_in_profiles(many: rm.RemoteModule) -> None:
    """A scripted caller's native call is named by its method, and not by generated code alone."""
    scripted = torch.jit.script(many)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        scripted(X, 2)
        scripted.forward_async(X, 2).wait()
    counts = {event.key: event.count for event in found.key_averages()}
    assert counts["rpc_async_jit#forward(caller -> one)"] == 2


def test_a_timeout_reaches_the_rpc_layer(many: rm.RemoteModule) -> None:
    """``with_options`` bounds eager, asynchronous and scripted calls, and spares the handle itself."""
    quick = many.with_options(timeout=0.05)
    with pytest.raises(rm.DeadlineExceeded):
        quick(X, 1_000_000)
    with pytest.raises(rm.DeadlineExceeded):
        quick.forward_async(X, 1_000_000).wait()
    with pytest.raises(RuntimeError, match="more than set timeout"):
        torch.jit.script(quick)(X, 1_000_000)
    assert many(X, 2).shape == (2,)


def test_a_timeout_in_python_too(cluster: rm.Cluster) -> None:
    """A call, and the creation of a module, that take too long fail alone."""
    slow = rm.RemoteModule("two/cpu", zoo.Slow, timeout=0.1)
    with pytest.raises(rm.DeadlineExceeded):
        slow(0.5)
    with pytest.raises(rm.DeadlineExceeded):
        rm.RemoteModule("two/cpu", zoo.SlowToBuild, timeout=0.1)
    future = slow.with_options(timeout=5).forward_async(0.3)
    with pytest.raises(rm.DeadlineExceeded):
        future.wait(0.01)
    assert future.wait() == 0.3


# --- references -------------------------------------------------------------------------------


def test_references_are_torchs_own(many: rm.RemoteModule) -> None:
    """``module_rref`` is torch's RRef, typed by the user's interface: his own scripted code takes it."""
    ref = many.get_module_rref()
    assert isinstance(ref, PyRRef)
    assert isinstance(ref, rm.RemoteRef)
    assert ref is many.module_rref
    assert ref.owner_name() == many.on == "one"
    rpc.rpc_sync("one", zoo.compile_follow)
    with torch.no_grad():
        assert torch.equal(rpc.rpc_sync("one", torch.jit.script(zoo.follow), (ref, X)), X * 5)
    assert isinstance(rm.remote("one", torch.ones, (2,)), rm.RemoteRef)


@pytest.mark.slow
@pytest.mark.parametrize("check", first_agent.CHECKS)
def test_torch_itself_uses_the_references(check: str) -> None:
    """Its own calls on a reference, its distributed autograd and optimizer: ``first_agent.py`` says what holds there."""
    done = programs.run(
        ["-m", "tests.runtime.first_agent", check],
        load=["torch.distributed.rpc", "torch.distributed.optim", "torch._dynamo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.slow
def test_handles_travel(many: rm.RemoteModule, cluster: rm.Cluster) -> None:
    """Native, eager, subclassed and scripted handles are called where they were sent, by anybody's RPC."""
    mine = zoo.Mine("one/cpu", nn.Identity)
    plain = rm.RemoteModule("one/cpu", zoo.Many, interface=zoo.ManyInterface)
    with torch.no_grad():
        for send in (rm.rpc_sync, rpc.rpc_sync):
            for handle in (many, plain, torch.jit.script(many), torch.jit.script(plain)):
                assert torch.equal(send("two", zoo.run, (handle, X)), X * 2)
            assert torch.equal(send("two", zoo.run_twice, (mine, X)), X)


def test_a_scripted_parent_says_how_to_send_it(many: rm.RemoteModule) -> None:
    """A scripted model with remote parts cannot be sent; the error names the way that works."""

    class Parent(nn.Module):
        def __init__(self, remote: nn.Module) -> None:
            super().__init__()
            self.remote = remote

        def forward(self, x: Tensor) -> Tensor:
            return self.remote(x, 2)

    scripted = torch.jit.script(Parent(many))
    with pytest.raises(RuntimeError, match="script the model where it runs"):
        rpc.rpc_sync("two", zoo.run, (scripted, X))


@pytest.mark.slow
def test_a_reference_makes_a_native_handle_elsewhere(many: rm.RemoteModule) -> None:
    """``init_from_module_rref`` with an interface gives another worker a handle that it can script."""
    with torch.no_grad():
        native, found = rpc.rpc_sync("two", zoo.from_reference, (many.module_rref, X))
    assert native
    assert torch.equal(found, X * 2)


def test_the_device_string_is_checked(many: rm.RemoteModule) -> None:
    """Another device or owner is an error; a bare other worker, which torch's users write, is a warning."""
    again = rm.RemoteModule.init_from_module_rref("one/cpu", many.module_rref)
    assert again(X, 2).shape == (2,)
    with pytest.raises(rm.PlacementError, match="is on 'cpu'"):
        rm.RemoteModule.init_from_module_rref("one/meta", many.module_rref)
    with pytest.raises(rm.PlacementError, match="lives on 'one'"):
        rm.RemoteModule.init_from_module_rref("two/cpu", many.module_rref)
    with pytest.warns(UserWarning, match="lives"):
        rm.RemoteModule.init_from_module_rref("two", many.module_rref)


# --- training ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_scripted_module_trains_outside_of_a_context(many: rm.RemoteModule) -> None:
    """Eager and scripted callers reach its parameters with plain ``backward``."""
    for caller in (many, torch.jit.script(many)):
        many.zero_grad()
        caller(X, 2).sum().backward()
        found = rm.rpc_sync("one", zoo.gradient, (many.remote_parameters()[0],))
        torch.testing.assert_close(found, 2 * X)


# --- agents -----------------------------------------------------------------------------------


def test_a_second_agent_is_refused(cluster: rm.Cluster) -> None:
    """Torch allows one agent a process; the error names what works."""
    with pytest.raises(rm.BackendUnavailable, match="torchrpc://"):
        rm.launch(workers=1, backend="torch_rpc")
    with rm.connect("torchrpc://") as mine:
        assert "caller" in mine.workers
    assert cluster.ping("one") > 0


def test_a_killed_worker_is_reported(cluster: rm.Cluster) -> None:
    """Its calls fail with the signal's name, the other worker does not notice."""
    cluster.close()
    with rm.launch(workers=["doomed", "well"], backend="torch_rpc") as mortal:
        slow = rm.RemoteModule("doomed/cpu", zoo.Slow)
        future = slow.forward_async(30)
        os.kill(mortal.engine.pid("doomed"), signal.SIGKILL)
        with pytest.raises(rm.WorkerLost, match="SIGKILL"):
            future.wait(10)
        with pytest.raises(rm.WorkerLost):
            slow(0.0)
        assert rm.rpc_sync("well", int, ("7",)) == 7


@pytest.mark.slow
def test_the_programs_own_agent_is_found(tmp_path: Path) -> None:
    """After ``init_rpc`` no cluster need be opened; ``own_agent.py`` says what holds there."""
    env = {**os.environ, "TP_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"}
    done = programs.run(
        ["-m", "tests.runtime.own_agent", str(tmp_path)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "twice\n"
