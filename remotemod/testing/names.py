"""The contract's tests of names: other processes of a cluster find a remote module by its name."""

from __future__ import annotations

import gc
import inspect
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.helpers import eventually

__all__ = ["Names"]

_NUMBERS = itertools.count(1)


class Times(nn.Module):
    """A module that multiplies by a number of its own."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """``x`` times the factor."""
        return x * self.factor


def call_by_name(name: str, *args: Any) -> Any:
    """Look a remote module up in this process, and call it."""
    return rm.lookup(name)(*args)


def is_known(name: str, cluster: rm.Cluster) -> bool:
    """Whether a cluster has a remote module of that name."""
    try:
        rm.lookup(name, cluster=cluster)
    except rm.PlacementError:
        return False
    return True


class Names:
    """Tests for :class:`remotemod.testing.BackendConformance`; they ask for its ``cluster``."""

    @pytest.fixture
    def name(self) -> str:
        """A name that no other test uses: a process keeps the clients that it has looked up."""
        return f"part {next(_NUMBERS)}"

    @pytest.mark.parametrize("worker", ["one", "two"])
    def test_a_worker_finds_a_module_by_its_name(
        self, cluster: rm.Cluster, name: str, worker: str
    ) -> None:
        """A name is enough to call a remote module from any worker, its own and another one's."""
        kept = rm.RemoteModule("one", Times, args=(3.0,), cluster=cluster, name=name)
        found = rm.rpc_sync(worker, call_by_name, (name, torch.ones(2)), timeout=30)
        assert torch.equal(found, torch.full((2,), 3.0))
        assert kept.on == "one"

    def test_the_caller_finds_a_module_by_its_name(self, cluster: rm.Cluster, name: str) -> None:
        """So does the process that built it."""
        kept = rm.RemoteModule("two", Times, args=(3.0,), cluster=cluster, name=name)
        assert torch.equal(call_by_name(name, torch.ones(2)), kept(torch.ones(2)))

    def test_the_newest_of_a_name_is_found(self, cluster: rm.Cluster, name: str) -> None:
        """A further module of a name takes it over from the one before on the same worker."""
        kept = [
            rm.RemoteModule("one", Times, args=(factor,), cluster=cluster, name=name)
            for factor in (2.0, 5.0)
        ]
        found = rm.rpc_sync("two", call_by_name, (name, torch.ones(1)), timeout=30)
        assert found.item() == kept[-1](torch.ones(1)).item() == 5.0

    def test_a_name_goes_with_the_last_handle(self, cluster: rm.Cluster, name: str) -> None:
        """A name keeps no module alive, and one that is gone is not found."""
        kept = rm.RemoteModule("one", Times, args=(3.0,), cluster=cluster, name=name)
        assert is_known(name, cluster)
        del kept
        gc.collect()
        assert eventually(lambda: not is_known(name, cluster))
        with pytest.raises(rm.PlacementError, match=name):
            rm.rpc_sync("two", call_by_name, (name, torch.ones(1)), timeout=30)

    def test_an_unknown_name_is_an_error_with_a_hint(self, cluster: rm.Cluster, name: str) -> None:
        """The error has the name, and the call that would give it to a module."""
        for ask in (call_by_name, lambda *args: rm.rpc_sync("one", call_by_name, args, timeout=30)):
            with pytest.raises(rm.PlacementError) as caught:
                ask(name, torch.ones(1))
            assert f"'{name}'" in str(caught.value)
            assert "rm.RemoteModule(" in str(caught.value)

    def test_a_name_on_two_workers_is_refused(self, cluster: rm.Cluster, name: str) -> None:
        """Neither is taken; the error names both workers."""
        kept = [
            rm.RemoteModule(worker, Times, args=(3.0,), cluster=cluster, name=name)
            for worker in ("one", "two")
        ]
        with pytest.raises(rm.PlacementError, match="on one, two"):
            rm.rpc_sync("two", call_by_name, (name, torch.ones(1)), timeout=30)
        assert len(kept) == 2

    def test_a_handle_by_name_is_a_handle(self, cluster: rm.Cluster, name: str) -> None:
        """It shows the interface's signature, acts on the module and trains it."""
        kept = rm.RemoteModule("one", nn.Linear, args=(2, 1), cluster=cluster, name=name)
        handle = rm.lookup(name, cluster=cluster, timeout=60)
        assert inspect.signature(handle.forward) == inspect.signature(kept.forward)
        x = torch.ones(1, 2, requires_grad=True)
        handle(x).sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, kept.state_dict()["weight"])
