"""A program that calls ``init_rpc`` itself, twice; its argument is a folder for the rendezvous files."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch
import torch.distributed.rpc as rpc
from torch import nn

import remotemod as rm
from tests.runtime import torch_rpc_zoo as zoo

X = torch.ones(2)


def once(file: str) -> None:
    """Modules of the agent's workers work while it runs; after ``shutdown`` they say why they do not."""
    options = rpc.TensorPipeRpcBackendOptions(init_method=f"file://{file}")
    rpc.init_rpc("solo", rank=0, world_size=1, rpc_backend_options=options)
    remote = rm.RemoteModule("solo/cpu", nn.Linear, (2, 3))
    native = rm.RemoteModule(
        "rank:0/cpu", zoo.scripted_many, _module_interface_cls=zoo.ManyInterface
    )
    with torch.no_grad():
        assert remote(X).shape == (3,)
        assert zoo.is_native(native)
        assert torch.equal(torch.jit.script(native)(X, 3), X * 3)
    with rm.connect("torchrpc://", timeout=5) as cluster:
        assert cluster.workers == ["solo"]
    rpc.shutdown()
    with pytest.raises(rm.RemoteModError, match="closed"):
        remote(X)


def main() -> None:
    """Says ``twice`` if all of it holds."""
    warnings.simplefilter("ignore")  # torch's own, about process groups and TorchScript
    with pytest.raises(rm.BackendUnavailable, match="init_rpc"):
        rm.connect("torchrpc://")
    for turn in range(2):
        once(f"{sys.argv[1]}/{turn}")
    with pytest.raises(rm.RemoteModError, match="init_rpc"):
        rm.RemoteModule("solo/cpu", nn.Identity)
    print("twice")


if __name__ == "__main__":
    main()
