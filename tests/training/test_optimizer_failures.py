"""When a part of an optimizer fails, the others are waited for and the error says who has stepped."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.optim import SGD

import remotemod as rm
from remotemod.optim.shard import Shard
from remotemod.testing.helpers import eventually
from tests.training.hybrids import assert_equal, give_gradients, pair, train, weights

pytestmark = pytest.mark.slow


class Moody(SGD):
    """Does what its group says instead of a step."""

    def step(self, closure: Any = None) -> None:
        mood = self.param_groups[0].get("mood")
        if mood == "refuse":
            raise KeyError("not today")
        if mood == "sleep":
            time.sleep(0.5)
        super().step()


def test_the_others_step(cluster: rm.Cluster) -> None:
    """One owner's error arrives with its type; the others have stepped, and it says so."""
    model, twin = pair()
    groups = [
        {"params": model.first, "mood": "refuse"},
        {"params": [model.scale, model.middle, model.last]},
    ]
    optimizer = rm.RemoteOptimizer(Moody, groups, lr=0.1)
    give_gradients(model, 0)
    give_gradients(twin, 0)
    before = weights(model)
    with pytest.raises(KeyError) as caught:
        optimizer.step()
    (note,) = caught.value.__notes__
    assert note == "stepped: 'ps1', here; not, or without saying so: 'ps0' (KeyError)"
    SGD(twin.parameters(), lr=0.1).step()
    expected = weights(twin)
    assert_equal(weights(model), [expected[0], *before[1:3], *expected[3:]])


def test_what_an_owner_did_not_take_is_sent_again(cluster: rm.Cluster) -> None:
    """Hyperparameters that went with a failed step go with the next one."""
    model, twin = pair()
    optimizer = rm.RemoteOptimizer(Moody, [{"params": model.first, "mood": "refuse"}], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.5
    with pytest.raises(KeyError):
        optimizer.step()
    optimizer.param_groups[0]["mood"] = "good"
    train(model, optimizer, range(1))
    train(twin, SGD(twin.first.parameters(), lr=0.5), range(1))
    assert_equal(weights(model), weights(twin))


def parts_alive() -> int:
    gc.collect()
    return sum(type(found) is Shard for found in gc.get_objects())


def test_parts_go_with_their_optimizer(cluster: rm.Cluster) -> None:
    """An owner lets its part go when the optimizer dies, and keeps none of one that was refused."""
    if cluster.backend == "torch_rpc":
        pytest.skip("torch's RPC releases nothing any more after its first shutdown in a process")
    model, _ = pair()
    gc.collect()
    before = rm.rpc_sync("ps0", parts_alive)
    optimizer = rm.RemoteOptimizer(SGD, [*model.layers()], lr=0.1)
    assert rm.rpc_sync("ps0", parts_alive) > before
    del optimizer
    with pytest.raises(ValueError, match="given twice"):
        rm.RemoteOptimizer(SGD, [model.first, model.last, model.last], lr=0.1)
    gc.collect()
    assert eventually(lambda: rm.rpc_sync("ps0", parts_alive) <= before)


@pytest.fixture(scope="module")
def own(fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers; the last test that has them kills one."""
    with rm.launch(workers=["ps0", "ps1"]) as cluster:
        yield cluster


def test_a_step_has_a_bound(own: rm.Cluster) -> None:
    """An owner that takes longer than ``timeout`` fails the step; the next one may pass."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(Moody, [{"params": model.first, "mood": "sleep"}], lr=0.1)
    optimizer.timeout = 0.05
    with pytest.raises(rm.DeadlineExceeded):
        optimizer.step()
    optimizer.timeout = None
    optimizer.param_groups[0]["mood"] = "good"
    optimizer.step()


def test_a_dead_owner_is_named(own: rm.Cluster) -> None:
    """A step with a dead owner fails with its name; those who live have stepped."""
    model, _ = pair()
    optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    model.scale.grad = torch.ones(4)
    before = model.scale.detach().clone()
    with pytest.raises(rm.WorkerLost):
        rm.rpc_sync("ps0", os.kill, (rm.rpc_sync("ps0", os.getpid), signal.SIGKILL))
    for _ in range(2):
        with pytest.raises(rm.WorkerLost, match="ps0") as caught:
            optimizer.step()
        assert caught.value.worker == "ps0"
        assert "stepped: 'ps1', here; not" in caught.value.__notes__[0]
        assert len(caught.value.__notes__) == 1
    torch.testing.assert_close(model.scale.detach(), before - 0.2)
    with pytest.raises(rm.WorkerLost, match="ps0"):
        optimizer.state_dict()
    with pytest.raises(rm.WorkerLost, match="ps0"):
        rm.clip_grad_norm_(model, 1.0)
    with pytest.raises(rm.WorkerLost, match="ps0"):
        rm.RemoteOptimizer(SGD, model, lr=0.1)


def test_a_closed_cluster_says_so() -> None:
    """After the cluster is closed a step is an error, and not a hang."""
    with rm.launch(workers=["ps0", "ps1"], backend="inproc"):
        model, _ = pair()
        optimizer = rm.RemoteOptimizer(SGD, model, lr=0.1)
    with pytest.raises(rm.RemoteModError, match="closed"):
        optimizer.step()
