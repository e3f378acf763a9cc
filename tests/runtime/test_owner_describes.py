"""Interfaces that only the owner can tell: factories, and forwards that are set on the instance."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm


def plain(x: Tensor, by: int = 2) -> Tensor:
    return x * by


class PerInstance(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.forward = plain


def factory() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU())


def test_a_forward_set_on_the_instance_is_read_there(shm: rm.Cluster) -> None:
    """The class has none; the built module does, and its signature shows here."""
    remote = rm.RemoteModule("ps0", PerInstance)
    assert list(inspect.signature(remote.forward).parameters) == ["x", "by"]
    assert remote(torch.ones(1), by=3).item() == 3


@pytest.mark.parametrize("make", [factory, lambda: nn.Sequential(nn.Linear(2, 3))])
def test_a_factory_tells_by_what_it_built(shm: rm.Cluster, make: object) -> None:
    """Functions and lambdas that return modules work, with the module's own signature."""
    remote = rm.RemoteModule("ps0", make)
    assert list(inspect.signature(remote.forward).parameters) == ["input"]
    assert remote(torch.ones(1, 2)).shape == (1, 3)


def test_a_container_without_forward_is_refused(shm: rm.Cluster) -> None:
    """There is nothing to call on a list of modules."""
    with pytest.raises(rm.InterfaceError, match="has no forward"):
        rm.RemoteModule("ps0", nn.ModuleList)
