"""A result that cannot travel fails alone, and leaves nothing on its worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.owner.owner import current_owner
from remotemod.testing.helpers import eventually

BACKENDS = ["shm", pytest.param("torch_rpc", marks=pytest.mark.slow)]


class Locked(nn.Module):
    """Returns what no process can send."""

    def forward(self, x: Tensor) -> Any:
        return x * 2, threading.Lock()

    def fine(self, x: Tensor) -> Tensor:
        return x * 2


def locked(x: Tensor) -> Any:
    return x * 2, threading.Lock()


def kept() -> int:
    """How many objects the worker keeps."""
    owner = current_owner()
    assert owner is not None
    return len(owner._kept)


@pytest.fixture(params=BACKENDS)
def cluster(request: pytest.FixtureRequest, fork_server: None) -> Iterator[rm.Cluster]:
    with rm.launch(["w"], backend=request.param) as cluster:
        yield cluster


def test_its_graph_is_not_kept(cluster: rm.Cluster) -> None:
    """Nobody knows of a graph whose result has not arrived."""
    remote = rm.RemoteModule("w", Locked)
    x = torch.ones(2, requires_grad=True)
    before = rm.rpc_sync("w", kept)
    for _ in range(3):
        with pytest.raises(rm.ProtocolError):
            remote(x)
        with pytest.raises(rm.ProtocolError):
            rm.rpc_sync("w", locked, (x,))
    assert eventually(lambda: rm.rpc_sync("w", kept) == before)
    remote.fine(x).sum().backward()
    assert x.grad.tolist() == [2, 2]
