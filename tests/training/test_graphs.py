"""What becomes of the graphs that owners keep, whatever becomes of their callers."""

from __future__ import annotations

import gc
import os
import signal
import threading

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import remotemod as rm
from remotemod.testing.helpers import alive, eventually
from remotemod.testing.trained import Cubes, Tagged
from tests.training import zoo


def test_graphs_end_with_a_caller_that_vanishes(fork_server: None) -> None:
    """A killed caller's graphs are let go, though it never said so."""
    with rm.launch(workers=["owner", "caller"]):
        remote = rm.RemoteModule("owner", Tagged)
        rm.rpc_sync("caller", zoo.hold_forward, (remote,))
        assert rm.rpc_sync("owner", alive) == 1
        os.kill(rm.rpc_sync("caller", os.getpid), signal.SIGKILL)
        assert eventually(lambda: rm.rpc_sync("owner", alive) == 0)


def test_an_owner_lost_before_backward_is_reported(fork_server: None) -> None:
    """``backward`` raises, names the worker, and does not wait."""
    with rm.launch(workers=["owner"]):
        result = rm.RemoteModule("owner", nn.Linear, args=(2, 2))(torch.ones(2))
        os.kill(rm.rpc_sync("owner", os.getpid), signal.SIGKILL)
        with pytest.raises(rm.WorkerLost, match="owner"):
            result.sum().backward()


def test_an_owner_that_dies_in_backward_is_reported(fork_server: None) -> None:
    """The pass that killed it fails."""
    with rm.launch(workers=["owner"]):
        result = rm.RemoteModule("owner", zoo.Awkward)(torch.ones(2, requires_grad=True), "die")
        with pytest.raises(rm.WorkerLost, match="owner"):
            result.sum().backward()


def test_what_backward_raises_on_the_owner_arrives(shm: rm.Cluster) -> None:
    """With its own type and the remote traceback."""
    result = rm.RemoteModule("ps0", zoo.Awkward)(torch.ones(2, requires_grad=True), "raise")
    with pytest.raises(ValueError, match="no gradient today") as caught:
        result.sum().backward()
    assert isinstance(caught.value, rm.RemoteError)
    assert "_Awkward" in caught.value.remote_traceback or "zoo.py" in caught.value.remote_traceback


def test_backward_has_the_bound_of_its_handle(shm: rm.Cluster) -> None:
    """A pass that takes too long fails when its time is over."""
    remote = rm.RemoteModule("ps0", zoo.Awkward).with_options(timeout=0.1)
    result = remote(torch.ones(2, requires_grad=True), "sleep")
    with pytest.raises(rm.DeadlineExceeded):
        result.sum().backward()


def test_a_parameter_changed_before_backward_is_noticed(shm: rm.Cluster) -> None:
    """A step between forward and backward is the error that it is at home."""
    remote = rm.RemoteModule("ps0", Cubes)
    total = remote(torch.ones(4, requires_grad=True)).sum()
    rm.rpc_sync("ps0", zoo.change_weight, (remote.module_rref,))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_closed_cluster_has_no_way_back(fork_server: None) -> None:
    """``backward`` after the end says that the cluster is closed."""
    with rm.launch(workers=["owner"]):
        result = rm.RemoteModule("owner", nn.Linear, args=(2, 2))(torch.ones(2))
    with pytest.raises(rm.RemoteModError, match="closed"):
        result.sum().backward()


def test_forward_mode_is_refused(shm: rm.Cluster) -> None:
    """A tangent that would be lost is an error, with and without gradients."""
    remote = rm.RemoteModule("ps0", nn.Linear, args=(4, 4))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(4), torch.ones(4))
        for call in (remote, remote.forward_async):
            with pytest.raises(rm.GraphError, match="ps0"):
                call(dual)
            with torch.no_grad(), pytest.raises(rm.GraphError, match="forward-mode"):
                call(dual)
        assert remote(torch.ones(4)).requires_grad


@pytest.mark.parametrize("backend", ["shm", pytest.param("torch_rpc", marks=pytest.mark.slow)])
def test_transforms_are_refused(fork_server: None, backend: str) -> None:
    """``torch.func`` and batches of gradients do not cross the border, and the error says what does."""
    with rm.launch(workers=["ps0"], backend=backend):
        remote = rm.RemoteModule("ps0", nn.Linear, args=(4, 4))
        with pytest.raises(rm.GraphError, match=r"autograd\.grad"):
            torch.func.grad(lambda x: remote(x).sum())(torch.ones(4))
        with pytest.raises(rm.GraphError, match="vmap"):
            torch.func.vmap(remote)(torch.ones(3, 4))
        x = torch.ones(4, requires_grad=True)
        with pytest.raises(rm.GraphError, match="is_grads_batched"):
            torch.autograd.grad(remote(x), x, torch.ones(5, 4), is_grads_batched=True)


def test_threads_may_go_back_through_one_graph(shm: rm.Cluster) -> None:
    """Each gets its own gradients."""
    remote = rm.RemoteModule("ps0", Cubes)
    x = torch.ones(4, requires_grad=True)
    result = remote(x)
    found: dict[int, torch.Tensor] = {}

    def run(factor: int) -> None:
        for _ in range(20):
            (found[factor],) = torch.autograd.grad(result * factor, x, retain_graph=True)

    threads = [threading.Thread(target=run, args=(factor,)) for factor in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = 3 * torch.linspace(0.5, 1.5, 4)
    for factor in range(1, 5):
        torch.testing.assert_close(found[factor], expected * factor)


def test_graphs_do_not_wait_for_the_garbage_collector(shm: rm.Cluster) -> None:
    """A chain's graphs, and the large tensors in them, go when the last name of the result goes."""
    remote = rm.RemoteModule("ps0", Tagged)
    before = rm.rpc_sync("ps0", alive)
    gc.collect()
    gc.disable()
    try:
        x = torch.ones(3, requires_grad=True)
        result = remote(remote(x))
        assert rm.rpc_sync("ps0", alive) == before + 2
        del result
        assert eventually(lambda: rm.rpc_sync("ps0", alive) == before)
    finally:
        gc.enable()


@pytest.mark.parametrize("recompute", [False, True])
def test_an_owner_keeps_one_graph_of_many_forwards(shm: rm.Cluster, recompute: bool) -> None:
    """Results that are dropped take their graphs along."""
    remote = rm.RemoteModule("ps0", zoo.Table, recompute=recompute)
    x = torch.ones(64, 64, requires_grad=True)
    before = rm.rpc_sync("ps0", zoo.kept)
    for _ in range(200):
        result = remote(x)
    assert eventually(lambda: rm.rpc_sync("ps0", zoo.kept) == before + 1)
    result.sum().backward()
    assert eventually(lambda: rm.rpc_sync("ps0", zoo.kept) <= before + 1)


@pytest.mark.slow
@pytest.mark.parametrize(("recompute", "forwards"), [(False, 4_000), (True, 2_000)])
def test_memory_is_flat_over_forwards_without_backward(
    fork_server: None, recompute: bool, forwards: int
) -> None:
    """Thousands of graphs of 50 KB each leave no trace in either process."""
    with rm.launch(workers=["owner"]):
        remote = rm.RemoteModule("owner", zoo.Table, recompute=recompute)
        x = torch.ones(64, 64, requires_grad=True)

        def rounds(count: int) -> tuple[int, int]:
            for _ in range(count):
                remote(x)
            return zoo.resident(), rm.rpc_sync("owner", zoo.resident)

        before = rounds(500)
        after = rounds(forwards)
        assert all(late - early < 10e6 for late, early in zip(after, before, strict=True))


def test_a_module_that_changes_its_argument_can_be_recomputed(shm: rm.Cluster) -> None:
    """Each run is given what the caller gave."""
    remote = rm.RemoteModule("ps0", zoo.InPlace, recompute=True)
    x = torch.ones(2, requires_grad=True)
    result = remote(x * 2)
    assert torch.equal(result, torch.full((2,), 9.0))
    result.sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 12.0))
