"""Remote modules beside local ones with the same weights, for the contract's tests of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.trained import gradients, local_gradients

__all__ = [
    "assert_alike",
    "assert_equal",
    "before_gradients",
    "gradients_of",
    "pair",
    "state_before",
]


def pair(
    worker: str, cls: type[nn.Module], cluster: rm.Cluster, *args: Any, **kwargs: Any
) -> tuple[rm.RemoteModule, Any]:
    """A remote module and a local one with the same weights."""
    remote = rm.RemoteModule(worker, cls, args=args, kwargs=kwargs, cluster=cluster)
    local = cls(*args, **kwargs)
    local.load_state_dict(remote.state_dict())
    return remote, local


def assert_alike(remote: Any, local: Any) -> None:
    """Run both on equal inputs and compare results and input gradients."""
    x = torch.randn(3, 4, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, expected = remote(x), local(y)
    assert_equal([found], [expected])
    found.square().sum().backward()
    expected.square().sum().backward()
    assert_equal([x.grad], [y.grad])


def gradients_of(remote: rm.RemoteModule) -> list[Tensor | None]:
    """The gradients of a remote module's parameters."""
    return rm.rpc_sync(remote.on, gradients, (remote.module_rref,))


def state_before(remote: rm.RemoteModule) -> dict[str, Tensor]:
    """The weights of the first layer of a remote :class:`Through`."""
    return rm.rpc_sync(remote.on, _before_state, (remote.module_rref,))


def _before_state(ref: rm.RemoteRef[Any]) -> dict[str, Tensor]:
    return dict(ref.local_value().before.state_dict())


def before_gradients(ref: rm.RemoteRef[Any]) -> list[Tensor | None]:
    """The gradients of the first layer of a :class:`Through`, on its owner."""
    return local_gradients(ref.local_value().before)


def assert_equal(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> None:
    """Equal to the bit, or None in the same places."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if one is None or other is None:
            assert one is other
        else:
            assert torch.equal(one, other)
