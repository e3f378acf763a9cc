"""The contract's tests of functions, references, and the state of a remote module."""

from __future__ import annotations

import gc

import torch
from torch import nn

import remotemod as rm
from remotemod.testing.helpers import (
    Tracked,
    TrackedModule,
    again,
    alive,
    apply,
    eventually,
    is_training,
    total,
)
from remotemod.testing.zoo import Results

__all__ = ["References"]


class References:
    """Tests for :class:`remotemod.testing.BackendConformance`; they ask for its ``cluster``."""

    # --- functions and references -------------------------------------------------------------

    def test_functions_run_on_the_worker(self, cluster: rm.Cluster) -> None:
        """Python functions, torch builtins and scripted functions all run."""
        assert rm.rpc_sync("one", len, ([1, 2],)) == 2
        assert torch.equal(rm.rpc_sync("one", torch.add, (torch.ones(2), 1)), torch.full((2,), 2.0))
        offset = 5
        assert rm.rpc_async("two", lambda x: x + offset, (1,)).wait() == 6

    def test_references_are_counted(self, cluster: rm.Cluster) -> None:
        """The value lives as long as a handle does, and no longer."""
        ref = rm.remote("one", Tracked, ("a",))
        assert ref.owner_name() == "one"
        assert ref.rpc_sync().name() == "a"
        assert rm.rpc_sync("one", alive) == 1
        second = rm.rpc_sync("one", again, (ref,))
        del ref
        gc.collect()
        assert rm.rpc_sync("one", alive) == 1
        del second
        gc.collect()
        assert eventually(lambda: rm.rpc_sync("one", alive) == 0)

    def test_references_travel_between_workers(self, cluster: rm.Cluster) -> None:
        """A worker uses what another one owns."""
        ref = rm.remote("one", torch.ones, (3,))
        assert torch.equal(rm.rpc_sync("two", total, (ref,)), torch.tensor(3.0))

    def test_a_remote_module_travels(self, cluster: rm.Cluster) -> None:
        """A remote module passed to another worker is called from there."""
        echo = rm.RemoteModule("one", Results, cluster=cluster)
        with torch.no_grad():
            assert torch.equal(
                rm.rpc_sync("two", apply, (echo, torch.ones(2))), torch.full((2,), 2.0)
            )

    def test_a_remote_module_is_released(self, cluster: rm.Cluster) -> None:
        """The owner lets a module go with its last handle."""
        remote = rm.RemoteModule("two", TrackedModule, cluster=cluster)
        assert rm.rpc_sync("two", alive) == 1
        del remote
        gc.collect()
        assert eventually(lambda: rm.rpc_sync("two", alive) == 0)

    # --- the state of the module --------------------------------------------------------------

    def test_modes_and_weights_reach_the_module(self, cluster: rm.Cluster) -> None:
        """``train``, ``eval``, ``state_dict`` and parameters are the remote module's."""
        remote = rm.RemoteModule("one", nn.Linear, args=(2, 3), cluster=cluster)
        assert remote.eval() is remote
        assert remote.module_rref.rpc_sync().extra_repr()
        assert rm.rpc_sync("one", is_training, (remote.module_rref,)) is False
        remote.train()
        assert rm.rpc_sync("one", is_training, (remote.module_rref,)) is True
        refs = remote.remote_parameters()
        assert [tuple(r.to_here().shape) for r in refs] == [(3, 2), (3,)]
        state = {k: torch.zeros_like(v) for k, v in remote.state_dict().items()}
        remote.load_state_dict(state)
        with torch.no_grad():
            assert torch.equal(remote(torch.ones(1, 2)), torch.zeros(1, 3))

    # --- TorchScript --------------------------------------------------------------------------

    def test_a_scripted_caller_reaches_the_module(self, cluster: rm.Cluster) -> None:
        """A scripted model calls ``forward`` and ``forward_async`` of a remote submodule."""
        from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid

        remote = rm.RemoteModule("one", Doubler, interface=DoublerInterface, cluster=cluster)
        assert remote.is_scriptable
        scripted = torch.jit.script(Hybrid(remote))
        assert torch.equal(scripted(torch.ones(2)), torch.full((2,), 5.0))
