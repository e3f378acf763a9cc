"""Shared memory is never written while anybody looks at it, however little of it there is."""

from __future__ import annotations

import gc
import itertools
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import remotemod as rm
from tests.runtime.shelf import GRIPS, Held, Shelf, hold

ARENA = 4 * 2**20
# Items of 4 bytes: inside the buffer, inline, just shared, a good part of the arena, all of it, and more.
SIZES = (8, 3_000, 5_000, 20_000, 100_000, 600_000, ARENA // 4, 2_000_000)
SLOW_SIZE = pytest.param(300_000, marks=pytest.mark.slow)
SOME = (8, 3_000, 5_000, 20_000, 20_001, 70_000)


@pytest.fixture(scope="module")
def shelf(fork_server: None) -> Iterator[Any]:
    """A module on a worker that shares little memory with this process."""
    with rm.launch(workers=["w"], arena=ARENA) as cluster:
        yield rm.RemoteModule("w", Shelf, cluster=cluster)


COUNTER = itertools.count(1)


def fresh(size: int) -> torch.Tensor:
    """A tensor that differs from every other one, in every item."""
    return torch.arange(size, dtype=torch.float32).add_(next(COUNTER) * 1000)


def shared() -> int:
    """Bytes of shared memory that this process has touched."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssShmem:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssShmem in /proc/self/status")


@pytest.mark.parametrize("how", GRIPS)
@pytest.mark.parametrize("size", [5_000, 20_000, SLOW_SIZE])
def test_results_hold_by_any_grip(shelf: Any, size: int, how: str) -> None:
    """A slice, a step, an array, a storage, a graph: each alone keeps the memory of its result."""
    held = []
    for _ in range(6):
        value = fresh(size)
        held.append(hold(shelf(value), how, value))
    for _ in range(12):
        shelf(fresh(size))
    assert [h.holds() for h in held] == [True] * 6


@pytest.mark.parametrize("how", GRIPS)
@pytest.mark.parametrize("size", [5_000, 20_000, SLOW_SIZE])
def test_inputs_hold_by_any_grip(shelf: Any, size: int, how: str) -> None:
    """What a module keeps of its inputs is never written by later calls."""
    keys = [next(COUNTER) for _ in range(6)]
    for key in keys:
        shelf.keep(key, fresh(size), how)
    for _ in range(12):
        shelf(fresh(size))
    assert shelf.broken() == []
    for key in keys:
        shelf.drop(key)


@pytest.mark.parametrize("size", SIZES)
def test_results_beyond_the_arena_arrive(shelf: Any, size: int) -> None:
    """Where held results leave no room the next ones come another way, and all are right."""
    count = max(3, min(40, 4 * ARENA // (4 * size)))
    values = [fresh(size) for _ in range(count)]
    held = [hold(shelf(value), "itself", value) for value in values]
    futures = [shelf.forward_async(value) for value in values]
    held += [hold(f.wait(30), "itself", v) for f, v in zip(futures, values, strict=True)]
    assert all(h.holds() for h in held)


def test_the_arena_bounds_what_is_shared(fork_server: None) -> None:
    """Two directions take what was asked for at most, though far more is held; it is used, though."""
    gc.collect()
    before = shared()
    with rm.launch(workers=["w"], arena=ARENA) as cluster:
        remote = rm.RemoteModule("w", Shelf, cluster=cluster)
        values = [fresh(2**18) for _ in range(16)]
        results = [remote(value) for value in values]
        assert all(torch.equal(r, v) for r, v in zip(results, values, strict=True))
        assert 2**20 <= shared() - before <= 2 * ARENA + 2**20


@pytest.mark.parametrize("size", SOME)
def test_both_sides_have_memory_of_their_own(shelf: Any, size: int) -> None:
    """In-place changes on one side are never seen on the other, before, during or after a call."""
    value, array = fresh(size), np.full(size, 3.0)
    expected = value.clone()
    result, total = shelf.spoil(value, array)
    assert torch.equal(value, expected)
    assert torch.equal(result, -expected)
    assert (total, float(array.sum())) == (7.0 * size, 3.0 * size)

    key = next(COUNTER)
    first = shelf.store(key, value)
    first.zero_()
    value.fill_(1)
    second = shelf.stored(key)
    assert torch.equal(second, expected)
    shelf.add(key, 1.0)
    assert torch.equal(second, expected)
    second.zero_()
    assert torch.equal(shelf.stored(key), expected + 1)
    shelf.discard(key)


@pytest.mark.parametrize("size", SOME)
def test_a_call_carries_the_values_of_its_moment(shelf: Any, size: int) -> None:
    """One buffer that is filled anew for each of many calls in flight sends each filling."""
    buffer = torch.empty(size)
    futures = [shelf.forward_async(buffer.fill_(i)) for i in range(40)]
    buffer.fill_(-1)
    results = [f.wait(30) for f in futures]
    assert [(float(r.min()), float(r.max())) for r in results] == [(i, i) for i in range(40)]


def random_holding(remote: Any, seed: int, rounds: int) -> list[str]:
    """Sends, holds, drops and looks again, in an order that the seed decides; returns what went wrong."""
    choose = random.Random(seed)
    held: list[Held] = []
    wrong: list[str] = []
    for _ in range(rounds):
        value = torch.full((choose.choice(SOME),), choose.random())
        value += torch.arange(len(value))
        result = remote(value)
        if not torch.equal(result, value):
            wrong.append(f"a result of {len(value)} items differs")
        held.append(hold(result, choose.choice(list(GRIPS)), value))
        del result
        if len(held) > 12:
            gone = held.pop(choose.randrange(len(held)))
            if not gone.holds():
                wrong.append(gone.how)
    return wrong + [h.how for h in held if not h.holds()]


def test_threads_hold_results_at_the_same_time(shelf: Any) -> None:
    """Several threads send, hold, drop and verify through one connection."""
    wrong: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda seed=seed: wrong.append(random_holding(shelf, seed, 60)))
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == [[]] * 6


def machine(remote: Any) -> type[RuleBasedStateMachine]:
    """Everything that one caller may do to one worker's shared memory."""

    class Memory(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.here: list[Held] = []
            self.futures: list[tuple[Any, torch.Tensor]] = []
            self.there: list[int] = []

        @rule(size=st.sampled_from(SIZES[:-1]), how=st.sampled_from(sorted(GRIPS)))
        def send_and_hold(self, size: int, how: str) -> None:
            value = fresh(size)
            self.here.append(hold(remote(value), how, value))

        @rule(size=st.sampled_from(SOME), count=st.integers(1, 12))
        def start(self, size: int, count: int) -> None:
            for _ in range(count):
                value = fresh(size)
                self.futures.append((remote.forward_async(value), value))

        @rule(data=st.data(), how=st.sampled_from(sorted(GRIPS)))
        def finish(self, data: st.DataObject, how: str) -> None:
            if self.futures:
                at = data.draw(st.integers(0, len(self.futures) - 1))
                future, value = self.futures.pop(at)
                self.here.append(hold(future.wait(30), how, value))

        @rule(size=st.sampled_from(SIZES[:-1]), how=st.sampled_from(sorted(GRIPS)))
        def keep_there(self, size: int, how: str) -> None:
            self.there.append(next(COUNTER))
            remote.keep(self.there[-1], fresh(size), how)

        @rule(sizes=st.lists(st.sampled_from(SOME), max_size=4))
        def send_several(self, sizes: list[int]) -> None:
            values = [fresh(size) for size in sizes]
            found = remote({"a": values, "b": values[:1]})
            assert all(torch.equal(f, v) for f, v in zip(found["a"], values, strict=True))
            self.here += [
                hold(f, "itself", v) for f, v in zip(found["a"][1:], values[1:], strict=True)
            ]

        @rule(data=st.data())
        def write_here(self, data: st.DataObject) -> None:
            mine = [h for h in self.here if h.how == "itself"]
            if mine:
                chosen = data.draw(st.sampled_from(range(len(mine))))
                self.here = [h for h in self.here if h is not mine[chosen]]
                grip = mine[chosen].grip.fill_(-7.0)
                self.here.append(hold(grip, "itself", torch.full_like(grip, -7.0)))

        @rule(data=st.data())
        def drop_here(self, data: st.DataObject) -> None:
            if self.here:
                del self.here[data.draw(st.integers(0, len(self.here) - 1))]

        @rule(data=st.data())
        def drop_there(self, data: st.DataObject) -> None:
            if self.there:
                remote.drop(self.there.pop(data.draw(st.integers(0, len(self.there) - 1))))

        @invariant()
        def nothing_changes(self) -> None:
            assert [h.how for h in self.here if not h.holds()] == []

        @rule()
        def nothing_changes_there(self) -> None:
            assert remote.broken() == []

        def teardown(self) -> None:
            assert remote.broken() == []
            for future, value in self.futures:
                assert torch.equal(future.wait(30), value)
            for key in self.there:
                remote.drop(key)

    return Memory


@pytest.mark.parametrize(
    "examples", [15, pytest.param(75, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_any_order_of_holding_and_dropping(shelf: Any, examples: int) -> None:
    """Whatever is sent, held, written, dropped and kept in whatever order: nothing ever changes by itself."""
    run_state_machine_as_test(
        machine(shelf),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
def test_thousands_of_results_need_few_descriptors() -> None:
    """2,000 results of 70 KB are held at once by processes that may open 256 files."""
    script = textwrap.dedent(
        """
        import os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        import torch, remotemod as rm
        from tests.runtime.shelf import Shelf
        with rm.launch(workers=["w"]):
            shelf = rm.RemoteModule("w", Shelf)
            results = [shelf(torch.full((70_000,), i % 251, dtype=torch.uint8)) for i in range(2_000)]
            for i in range(2_000):
                shelf.store(i, results[i])
            assert all(int(r[0]) == int(r[-1]) == i % 251 for i, r in enumerate(results))
            assert all(int(shelf.stored(i)[69_999]) == i % 251 for i in range(0, 2_000, 7))
            print(len(os.listdir("/proc/self/fd")) < 100)
            print(len(rm.rpc_sync("w", os.listdir, ("/proc/self/fd",))) < 100)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=90
    )
    assert (done.returncode, done.stdout) == (0, "True\nTrue\n"), done.stderr
