"""What scripted callers hold is found in every process, named or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import remotemod as rm
from remotemod.handles.directory import DIRECTORY
from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid
from tests.backends import BACKENDS


@pytest.fixture(params=BACKENDS)
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    with rm.launch(["one", "two"], backend=request.param) as cluster:
        yield cluster


def call_by_reference(ref: str, *args: Any) -> Any:
    return DIRECTORY.find(ref).call("forward", args, {})


def test_a_scripted_module_is_found_without_a_name(cluster: rm.Cluster) -> None:
    """A reference string is enough once its module was scripted, and not before."""
    remote = rm.RemoteModule("one", Doubler, interface=DoublerInterface)
    with pytest.raises(rm.PlacementError):
        rm.lookup(remote._ref)
    scripted = torch.jit.script(Hybrid(remote))
    found = rm.rpc_sync("two", call_by_reference, (remote._ref, torch.ones(2), 2), timeout=30)
    assert torch.equal(found, torch.full((2,), 2.0))
    assert torch.equal(scripted(torch.ones(2)), torch.full((2,), 5.0))


def test_a_handle_means_its_own_module(cluster: rm.Cluster) -> None:
    """Two modules have one name: who has a handle means that one, and nobody else can tell."""
    kept = [
        rm.RemoteModule(worker, Doubler, interface=DoublerInterface, name="both")
        for worker in ("one", "two")
    ]
    assert DIRECTORY.find("both").worker == kept[-1].on == "two"
    with pytest.raises(rm.PlacementError, match="on one, two"):
        rm.lookup("both")
