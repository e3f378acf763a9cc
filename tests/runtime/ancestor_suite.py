"""Torch's own test suite of its RemoteModule, run against ours; a program of its own, because it starts processes.

What it says of things that must fail, and ours does, is said anew here; the rest is torch's, word for word.
"""

from __future__ import annotations

import multiprocessing
import unittest
from typing import Any

import pytest
import torch
import torch.distributed.rpc as rpc
import torch.testing._internal.distributed.nn.api.remote_module_test as ancestor
from torch.testing._internal import dist_utils
from torch.testing._internal.distributed import rpc_utils
from torch.testing._internal.distributed.rpc.tensorpipe_rpc_agent_test_fixture import (
    TensorPipeRpcAgentTestFixture,
)

import remotemod as rm

ancestor.RemoteModule = rm.RemoteModule
ancestor._RemoteModule = rm.RemoteModule
START = multiprocessing.get_context("forkserver")
LOADED = [
    *(ancestor.__name__, rpc_utils.__name__),
    *("remotemod.backends.torch_rpc.backend", "remotemod.interface.live.script_module"),
    "remotemod.codegen.render",
]
WITH_INTERFACE = [ancestor.ModuleCreationMode.MODULE_CTOR_WITH_INTERFACE]


class TwoWorkers(ancestor.RemoteModuleTest):
    @dist_utils.dist_init
    def test_unsupported_methods(self) -> None:
        """Of what torch's class refuses ours refuses what has no meaning, and does the rest."""
        if self.rank != 0:
            return
        (remote,) = self._create_remote_module_iter(
            dist_utils.worker_name(1), [ancestor.ModuleCreationMode.MODULE_CTOR]
        )
        with pytest.raises(
            ValueError, match=r"``parameters`` not supported .* ``remote_parameters``"
        ):
            remote.parameters()
        assert list(remote.state_dict()) == ["param1"]
        remote.requires_grad_(False)
        assert not remote.remote_parameters()[0].to_here().requires_grad


class ThreeWorkers(ancestor.ThreeWorkersRemoteModuleTest):
    def assertListEqual(self, found: Any, expected: Any, msg: Any = None) -> None:
        """A received handle has what torch's has, and all of a module besides; methods are its class's."""
        of_the_class = {"generated_methods", "forward", "forward_async"}
        assert set(expected) - of_the_class <= set(found)

    @dist_utils.dist_init
    def test_send_remote_module_over_the_wire_script_not_supported(self) -> None:
        """It is supported: a scripted remote module is called where it was sent."""
        if self.rank != 0:
            return
        args = (torch.ones(1), 2, "3")
        for scripted in self._create_remote_module_iter(dist_utils.worker_name(1), WITH_INTERFACE):
            for call in (ancestor.remote_forward, ancestor.remote_forward_async):
                answer = rpc.rpc_sync(dist_utils.worker_name(2), call, (scripted, args))
                assert answer == tuple(reversed(args))


class Forked(TensorPipeRpcAgentTestFixture):
    """Processes as new as torch's own, from a server that has loaded torch once: it takes each of them seconds."""

    def _spawn_processes(self) -> None:
        self._start_processes(START.Process)


SUITES: list[Any] = [TwoWorkers, ThreeWorkers]
globals().update(rpc_utils.generate_tests("Ours", Forked, SUITES, __name__))
del TwoWorkers, ThreeWorkers

if __name__ == "__main__":
    START.set_forkserver_preload(LOADED)
    unittest.main(verbosity=2)
