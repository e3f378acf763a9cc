"""A program of two members of torch's RPC with a device map between them; rank 0 calls modules of rank 1.

Run as ``python -m tests.gpu.mapped FILE DEVICE RANK``. On the CPU there is no map, and the rest is the same.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
import torch.distributed.rpc as rpc
from torch import Tensor

import remotemod as rm
from tests.gpu import zoo

X = torch.arange(8.0).view(2, 4)


def check(found: Tensor, expected: Tensor, device: str) -> None:
    assert str(found.device) == device, (found.device, device)
    torch.testing.assert_close(found.cpu(), expected.cpu(), rtol=1e-4, atol=1e-5)


def results(device: str) -> None:
    """Tensors stay on the device, whoever calls and however the result is taken."""
    local = zoo.Results().to(device)
    for make, interface in (
        (zoo.Results, None),
        (zoo.Results, zoo.ResultsInterface),
        (zoo.scripted_results, zoo.ResultsInterface),
    ):
        remote: Any = rm.RemoteModule(f"far/{device}", make, interface=interface)
        assert remote.is_device_map_set is (device != "cpu")
        callers = [remote] if interface is None else [remote, torch.jit.script(remote)]
        x = X.to(device)
        with torch.no_grad():
            for caller in callers:
                check(caller(x), local(x), device)
                check(caller(X), local(x), device)  # from the CPU too
                check(caller.table({"a": x})["a"], local.table({"a": x})["a"], device)
                assert caller.maybe(None) is None
                assert caller.count(x) == 8
                where, label, weights = caller.point(x)
                check(where, local(x), device)
                check(weights[1], local(x), device)
                assert label == 7


def futures(device: str) -> None:
    """A large result is whole, by whichever thread it is taken and whatever waits for it."""
    remote, weight = rm.RemoteModule(f"far/{device}", zoo.Results), zoo.Results().weight
    seen: list[Tensor] = []
    rows = 1 << 14 if device == "cpu" else 1 << 20
    with torch.no_grad():
        for turn in range(2 if device == "cpu" else 5):
            x = torch.randn(rows, 4, device=device) + turn
            expected = x * weight.to(device)
            plain, bounded, called = (remote.forward_async(x) for _ in range(3))
            after = called.then(lambda future: seen.append(future.wait() * 2))
            check(plain.wait(), expected, device)
            check(bounded.wait(60), expected, device)
            after.wait(60)
            check(seen.pop(), expected * 2, device)
            check(called.wait(), expected, device)


def training(device: str) -> None:
    """Gradients and steps: each call sees what the last one has left, though each has streams of its own."""
    remote, local = rm.RemoteModule(f"far/{device}", zoo.Tower), zoo.Tower().to(device)
    ours = rm.RemoteOptimizer(torch.optim.Adam, remote, lr=0.05)
    theirs = torch.optim.Adam(local.parameters(), lr=0.05)
    for turn in range(4 if device == "cpu" else 20):
        x = torch.linspace(-1.0, 1.0, 32, device=device).view(8, 4) * (turn + 1)
        found = []
        for module, optimizer in ((remote, ours), (local, theirs)):
            optimizer.zero_grad()
            given = x.clone().requires_grad_()
            loss = module(given).square().mean()
            loss.backward()
            optimizer.step()
            found.append([loss.detach(), given.grad])
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
    state = remote.state_dict()
    for key, value in local.state_dict().items():
        check(state[key], value, device)
    other = rm.RemoteModule(f"far/{device}", zoo.Results)
    rm.rpc_sync("far", zoo.fill_slowly, (other.module_rref, 2 if device == "cpu" else 2000))
    with torch.no_grad():
        check(other(X), X, device)


def main() -> None:
    """Joins the group; rank 0 checks all of it."""
    warnings.simplefilter("ignore")  # torch's own, about process groups and TorchScript
    store, device, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
    options = rpc.TensorPipeRpcBackendOptions(init_method=f"file://{store}", rpc_timeout=60)
    if device != "cpu":
        other = "far" if rank == 0 else "near"
        options.set_device_map(other, {torch.device(device): torch.device(device)})
    rpc.init_rpc(("near", "far")[rank], rank=rank, world_size=2, rpc_backend_options=options)
    if rank == 0:
        for part in (results, futures, training):
            part(device)
            print(part.__name__, flush=True)
        print("all of it holds", flush=True)
    rpc.shutdown()


if __name__ == "__main__":
    main()
