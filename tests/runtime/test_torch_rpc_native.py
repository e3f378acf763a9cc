"""What torch_rpc writes for TorchScript, who needs the generator for it, and what it leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import remotemod as rm
from remotemod.backends.torch_rpc.native import native_path
from remotemod.codegen import render
from remotemod.stub.loader import load_stub
from tests.runtime import torch_rpc_zoo as zoo

X = torch.tensor([1.0, 2.0])

pytestmark = pytest.mark.skipif(
    not torch.distributed.rpc.is_available(), reason="this build of torch has no RPC"
)


@pytest.fixture(scope="module")
def cluster(fork_server: None) -> Iterator[rm.Cluster]:
    """Worker processes over torch's RPC."""
    with rm.launch(workers=["one", "two"], backend="torch_rpc") as cluster:
        yield cluster


def test_workers_need_no_generator(cluster: rm.Cluster) -> None:
    """The caller writes what TorchScript runs: owners are sent it, and so are others with a handle."""
    remote = rm.RemoteModule("one/cpu", zoo.scripted_many, interface=zoo.ManyInterface)
    assert zoo.is_native(remote)
    native, result, modules = rm.rpc_sync("two", zoo.call_and_script, (remote, X))
    assert native
    assert torch.equal(result, X * 6)
    for loaded in (modules, rm.rpc_sync("one", zoo.loaded_modules)):
        assert not {"jinja2", "libcst", "remotemod.codegen.render"} & loaded


def test_a_caller_without_the_generator_has_no_native_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stub from a file is then called by operators."""
    text = rm.render(rm.read_interface(zoo.ManyInterface)).replace("``ManyI", "``Ungenerated ManyI")
    stub = load_stub(text)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    render._environment.cache_clear()
    assert native_path(stub, main=True) is None


def test_stubs_without_plain_methods_have_no_native_path() -> None:
    """Eager ones have nothing for TorchScript, and named tuples would come back as classes of its own."""

    @torch.jit.interface
    class Pairs:
        def forward(self, pair: zoo.Pair) -> zoo.Pair:
            pass

    eager = rm.render(rm.read_interface(zoo.ManyInterface), form="eager")
    for text in (eager, rm.render(rm.read_interface(Pairs))):
        assert native_path(load_stub(text), main=True) is None


def test_a_handle_is_prepared_in_place(cluster: rm.Cluster) -> None:
    """Scripting leaves the handle what it was, with its signatures; a user's own methods stay."""

    class Mine(rm.RemoteModule):
        def again(self, x: Tensor) -> Tensor:
            return self.forward(self.forward(x, 2), 2)

    remote = Mine("one/cpu", zoo.scripted_many, interface=zoo.ManyInterface)
    shown = str(torch.jit.script(remote).forward.schema)
    assert "int times=2" in shown
    assert isinstance(remote, Mine)
    with torch.no_grad():
        assert torch.equal(remote.again(X), X * 4)
        assert torch.equal(remote(X), X * 2)
        bounded = torch.jit.script(remote.with_options(timeout=5))
        assert torch.equal(bounded(X, 3), X * 3)


def test_moves_are_as_the_stub_has_them() -> None:
    """What is generated without device moves moves nothing in TorchScript either."""
    interface = rm.read_interface(zoo.ManyInterface)
    paths = [
        native_path(load_stub(rm.render(interface, device_moves=moves)), main=True)
        for moves in (True, False)
    ]
    assert [path is not None and ".to(device)" in path.text for path in paths] == [True, False]
