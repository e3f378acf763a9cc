"""What torch itself does with the references of a launched cluster; a program of its own: CHECK.

Torch's references tell their owner's name by the first agent that the process ever had, so where other tests have
launched workers of other names before, these calls look for those.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed.autograd as dist_autograd
from torch import nn

import remotemod as rm
from remotemod.testing.helpers import apply
from tests.runtime import torch_rpc_zoo as zoo


def reference() -> None:
    """A copy of the module, calls of its methods, its owner, as torch's RRef has them."""
    ref = rm.RemoteModule("one/cpu", nn.Linear, (2, 3)).module_rref  # the handle is gone
    assert isinstance(ref.to_here(), nn.Linear)
    assert ref.rpc_sync().extra_repr() == "in_features=2, out_features=3, bias=True"
    assert ref.rpc_async().extra_repr().wait() == ref.remote().extra_repr().to_here()
    assert (ref.owner_name(), ref.is_owner()) == ("one", False)
    assert "UserRRef" in repr(ref)
    with pytest.raises(RuntimeError):
        ref.local_value()


def train(factory: Any) -> None:
    """Two SGD steps through torch's distributed autograd and optimizer equal two local ones."""
    from torch.distributed.optim import DistributedOptimizer  # loads much of torch

    remote = rm.RemoteModule("one/cpu", factory, interface=zoo.ManyInterface)
    local = zoo.Many()
    ours = DistributedOptimizer(torch.optim.SGD, remote.remote_parameters(), lr=0.1)
    theirs = torch.optim.SGD(local.parameters(), lr=0.1)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        with dist_autograd.context() as context:
            loss = (remote(x, 3) - 1).pow(2).sum() + remote.forward_async(x, 1).wait().sum()
            dist_autograd.backward(context, [loss])
            assert x in dist_autograd.get_gradients(context)
            ours.step(context)
        theirs.zero_grad()
        ((local(x, 3) - 1).pow(2).sum() + local(x, 1).sum()).backward()
        theirs.step()
    assert torch.equal(remote.remote_parameters()[0].to_here(), local.weight)


def parameters() -> None:
    """Parameters among the arguments, and those of a module that is one, get their gradients in the context."""
    layer, x = nn.Linear(2, 2), nn.Parameter(torch.ones(2))
    with dist_autograd.context() as context:
        dist_autograd.backward(context, [rm.rpc_sync("one", apply, (layer, x)).sum()])
        found = dist_autograd.get_gradients(context)
    total: Any = apply(layer, x).sum()
    total.backward()
    for parameter in (x, *layer.parameters()):
        assert torch.equal(found[parameter], parameter.grad)


CHECKS: dict[str, Callable[[], None]] = {
    "a reference": reference,
    "parameters": parameters,
    "a module trained by torch's optimizer": lambda: train(zoo.Many),
    "a scripted module trained by torch's optimizer": lambda: train(zoo.scripted_many),
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with rm.launch(workers=["one", "two"], backend="torch_rpc"):
        CHECKS[sys.argv[1]]()
    print("done")
