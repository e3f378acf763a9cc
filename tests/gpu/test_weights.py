"""Weights on the device: read, loaded, written to files and read from them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from tests.gpu import zoo
from tests.gpu.devices import HERE, assert_came_back, needs_values

X = torch.linspace(-1.0, 1.0, 32).view(8, 4)


def devices(remote: Any) -> set[str]:
    found = rm.rpc_sync(remote.on, zoo.devices_of_parameters, (remote.module_rref,))
    return {parameter for parameter, _ in found}


def test_the_state_is_that_of_the_local_module(workers: rm.Cluster, device: str) -> None:
    """The keys, dtypes, shapes and values of the local module on the device, all of it here."""
    found = rm.RemoteModule(f"one/{device}", zoo.Tower).state_dict()
    expected = zoo.Tower().to(device).state_dict()
    assert list(found) == list(expected)
    assert_came_back(dict(found), dict(expected))


@pytest.mark.parametrize("source", ["cpu", "device"])
@needs_values
def test_a_state_is_loaded_from_either_side(workers: rm.Cluster, device: str, source: str) -> None:
    """From the CPU or from this process's device: values are copied, and parameters stay where they are."""
    local = zoo.Tower(seed=9).to("cpu" if source == "cpu" else device)
    remote = rm.RemoteModule(f"one/{device}", zoo.Tower)
    remote.load_state_dict(local.state_dict())
    assert devices(remote) == {device}
    with torch.no_grad():
        assert_came_back(remote(X), local.to(device)(X.to(device)))


@needs_values
def test_an_assigned_state_goes_to_the_device(workers: rm.Cluster, device: str) -> None:
    """With ``assign=True`` the new parameters are on the module's device too, and the module can be called."""
    local = zoo.Tower(seed=9)
    remote = rm.RemoteModule(f"one/{device}", zoo.Tower)
    remote.load_state_dict(local.state_dict(), assign=True)
    assert devices(remote) == {device}
    with torch.no_grad():
        assert_came_back(remote(X), local.to(device)(X.to(device)))


@needs_values
def test_a_parent_saves_and_loads_both_parts(
    workers: rm.Cluster, device: str, tmp_path: Path
) -> None:
    """The state of a model with a remote part goes through a file to another, in one piece."""

    def model(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(4, 4), rm.RemoteModule(f"one/{device}", zoo.Tower, args=(seed,))
        )

    one, other = model(1), model(2)
    torch.save(one.state_dict(), tmp_path / "both.pt")
    other.load_state_dict(torch.load(tmp_path / "both.pt"))
    with torch.no_grad():
        torch.testing.assert_close(one(X), other(X))


@needs_values
def test_weights_are_streamed_to_a_file_and_back(
    workers: rm.Cluster, device: str, tmp_path: Path
) -> None:
    """``save`` writes from the device, in several pieces, what ``safetensors`` reads; ``load`` fills the device."""
    from safetensors.torch import load_file

    size = (1500, 2000)  # 12 MB: more than one piece
    one = rm.RemoteModule(f"one/{device}", nn.Linear, args=size)
    other = rm.RemoteModule(f"two/{device}", nn.Linear, args=size)
    rm.RemoteModule.save(one, tmp_path / "weights.safetensors")
    state = one.state_dict()
    read = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(read[key], value) for key, value in state.items())
    rm.RemoteModule.load(other, tmp_path / "weights.safetensors")
    assert all(torch.equal(other.state_dict()[key], value) for key, value in state.items())
    assert devices(other) == {device}


def test_copies_are_made_on_the_device(workers: rm.Cluster, device: str) -> None:
    """``copy.deepcopy`` of a handle copies the module where it is."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Tower)
    twin = copy.deepcopy(remote)
    assert devices(twin) == {device}
    if HERE == "cpu":
        with torch.no_grad():
            assert torch.equal(twin.eval()(X), remote.eval()(X))


@needs_values
def test_modes_and_functions_reach_the_device(workers: rm.Cluster, device: str) -> None:
    """``eval``, ``apply``, ``requires_grad_`` and ``zero_grad`` act on the module that is there."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Tower)
    remote.apply(_fill).eval().requires_grad_(False)
    with torch.no_grad():
        local = zoo.Tower().apply(_fill).eval().to(device)
        assert_came_back(remote(X), local(X.to(device)))
    remote(X.clone().requires_grad_()).sum().backward()
    assert rm.rpc_sync("one", zoo.gradients, (remote.module_rref,)) == [None] * 6


def _fill(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            parameter.fill_(0.25)


@needs_values
def test_references_to_parameters(workers: rm.Cluster, device: str) -> None:
    """A parameter that is asked for comes here as a copy on the CPU."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Results)
    (parameter,) = remote.remote_parameters()
    here: Tensor = parameter.to_here()
    assert_came_back(here.detach(), torch.linspace(-1.0, 2.0, 4))
