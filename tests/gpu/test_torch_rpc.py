"""torch's RPC with modules on the device: without a device map all that crosses is on the CPU, with one it stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.rpc.cluster import make_current
from tests.gpu import zoo
from tests.gpu.devices import HERE, assert_came_back, needs_values, only_on_cuda
from tests.gpu.test_results import CALLS, POINT, X, moved
from tests.runtime.torch_rpc_zoo import is_native

pytestmark = pytest.mark.skipif(
    not torch.distributed.rpc.is_available(), reason="this build of torch has no RPC"
)


@pytest.fixture(scope="module")
def group(fork_server: None) -> Iterator[rm.Cluster]:
    """A worker over torch's RPC, without a device map."""
    with rm.launch(workers=["mapless"], backend="torch_rpc", timeout=120) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _current(group: rm.Cluster) -> None:
    make_current(group)


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", ["eager", "scripted", "scripted caller"])
@needs_values
def test_results_come_back_on_the_cpu(group: rm.Cluster, device: str, kind: str, case: str) -> None:
    """Without a device map every kind of result is moved, also by the way that TorchScript takes alone."""
    remote: Any = rm.RemoteModule(
        f"mapless/{device}",
        zoo.Results if kind == "eager" else zoo.scripted_results,
        interface=None if kind == "eager" else zoo.ResultsInterface,
    )
    assert not remote.is_device_map_set
    if kind == "scripted caller":
        remote = torch.jit.script(remote)
    method, arguments = case.removesuffix("_none"), CALLS[case]
    with torch.no_grad():
        expected = getattr(zoo.Results().to(device), method)(*moved(arguments, device))
        for found in (
            getattr(remote, method)(*arguments),
            getattr(remote, f"{method}_async")(*arguments).wait(),
        ):
            if case == "point" and kind == "scripted caller":
                found = zoo.Point(*found)
            assert_came_back(found, expected)


@needs_values
def test_training_without_a_device_map(group: rm.Cluster, device: str) -> None:
    """Gradients, steps, norms, weights and the optimizer's state all cross as tensors on the CPU."""
    remote, local = rm.RemoteModule(f"mapless/{device}", zoo.Tower), zoo.Tower().to(device)
    ours = rm.RemoteOptimizer(torch.optim.Adam, remote, lr=0.05)
    theirs = torch.optim.Adam(local.parameters(), lr=0.05)
    for turn in range(3):
        x = torch.linspace(-1.0, 1.0, 32).view(8, 4) * (turn + 1)
        inputs = []
        for module, optimizer in ((remote, ours), (local, theirs)):
            optimizer.zero_grad()
            given = x.clone().requires_grad_()
            result = module(given) if module is remote else module(given.to(device)).cpu()
            result.square().sum().backward()
            rm.clip_grad_norm_(module, 1.0)
            optimizer.step()
            inputs.append(given.grad)
        torch.testing.assert_close(*inputs, rtol=1e-4, atol=1e-5)
    state = remote.state_dict()
    assert {value.device.type for value in state.values()} == {"cpu"}
    for key, value in local.state_dict().items():
        torch.testing.assert_close(state[key], value.cpu(), rtol=1e-4, atol=1e-5)
    ours.load_state_dict(ours.state_dict())
    remote.load_state_dict(local.state_dict())
    with torch.no_grad():
        assert_came_back(remote.eval()(X), local.eval()(X.to(device)))


@pytest.mark.parametrize("make", [zoo.Results, zoo.scripted_results])
def test_a_module_on_the_device_is_reached(group: rm.Cluster, device: str, make: Any) -> None:
    """By TorchScript alone where the module is scripted, with the moves compiled; what holds no tensor always comes back."""
    remote = rm.RemoteModule(f"mapless/{device}", make, interface=zoo.ResultsInterface)
    assert is_native(remote) is (make is zoo.scripted_results)
    with torch.no_grad():
        assert remote.count(X) == 8
        assert remote.maybe(None) is None
        assert remote.nothing(X) is None
        assert torch.jit.script(remote).count(X) == 8


@needs_values
def test_what_functions_return_without_a_device_map(group: rm.Cluster, device: str) -> None:
    """A function's tensors, in whatever they are, come back on the CPU, as on every other backend."""
    assert_came_back(rm.rpc_sync("mapless", torch.ones, (2,), {"device": device}), torch.ones(2))
    record, packed = rm.rpc_sync("mapless", _odd_results, (device,))
    assert_came_back(record, zoo.Record(torch.ones(2), "odd"))
    assert packed.data.device.type == "cpu"


def _odd_results(device: str) -> Any:
    sequence = nn.utils.rnn.pack_sequence([torch.ones(2, device=device)])
    return zoo.Record(torch.ones(2, device=device), "odd"), sequence


@only_on_cuda("nothing is moved from it")
def test_arguments_on_the_callers_gpu_without_a_device_map(group: rm.Cluster, device: str) -> None:
    """They travel as tensors on the CPU, and their gradients go back to where they are."""
    remote, local = rm.RemoteModule(f"mapless/{device}", zoo.Results), zoo.Results().to(device)
    x = X.to(device).requires_grad_()
    result = remote(x)
    assert result.device.type == "cpu"
    result.sum().backward()
    assert x.grad is not None
    assert str(x.grad.device) == device
    with torch.no_grad():
        point = moved(POINT, device)
        assert_came_back(remote.from_point(point), local.from_point(point))


@needs_values
def test_two_members_with_a_device_map(device: str, tmp_path: Path) -> None:
    """A program of two ranks with a map between their devices; on the CPU the same program without one."""
    command = [sys.executable, "-m", "tests.gpu.mapped", str(tmp_path / "store"), device]
    ranks = [
        subprocess.Popen(
            [*command, rank], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    try:
        outputs = [rank.communicate(timeout=60) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    for rank, (out, err) in zip(ranks, outputs, strict=True):
        assert rank.returncode == 0, out + err
    assert outputs[0][0].splitlines()[-1] == "all of it holds", outputs[0]
    assert HERE == "cpu"
