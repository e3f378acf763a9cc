"""A deadline is kept whatever the worker or the way to it is busy with, and costs nothing but its call."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.helpers import eventually
from tests.gate import Gate, held

MIB = 2**20


class Slow(nn.Module):
    """Takes its time."""

    def forward(self, value: Any, seconds: float = 0.0) -> Any:
        """The value, later."""
        time.sleep(seconds)
        return value

    def held(self, value: Any, gate: str) -> Any:
        """The value, when the gate is open."""
        held(gate)
        return value

    def made(self, size: int, seconds: float) -> Tensor:
        """A large result, later."""
        time.sleep(seconds)
        return torch.ones(size)


@pytest.fixture(scope="module")
def slow(fork_server: None) -> Iterator[Any]:
    """A module on a worker of this file's own."""
    with rm.launch(workers=["w"], timeout=30) as cluster:
        yield rm.RemoteModule("w", Slow, cluster=cluster)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Keeps the worker busy until the test opens it, or ends."""
    gate = Gate(tmp_path)
    yield gate
    gate.open()


@pytest.fixture(autouse=True)
def _idle(slow: Any) -> Iterator[None]:
    """After each test the worker is at rest and answers what it is asked."""
    yield
    value = torch.arange(30_000)
    assert torch.equal(slow(value), value)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() - self._start


@pytest.mark.parametrize("size", [5_000, 30_000])
def test_a_call_to_a_busy_worker_ends_in_time(slow: Any, gate: Gate, size: int) -> None:
    """The bound counts from the call on, though the worker has not begun with it."""
    busy = slow.held_async(1, gate.name)
    took = Stopwatch()
    with pytest.raises(rm.DeadlineExceeded):
        slow.with_options(timeout=0.1)(torch.zeros(size))
    assert took() >= 0.1
    assert not busy.done()
    gate.open()
    assert busy.wait() == 1


@pytest.mark.parametrize("count", [400, 1_500])
def test_many_expired_calls_and_a_good_one(slow: Any, gate: Gate, count: int) -> None:
    """Thousands of calls expire while the worker is busy; what comes late disturbs nobody."""
    busy = slow.held_async(1, gate.name)
    hasty = slow.with_options(timeout=0.1)
    futures = [hasty.forward_async(torch.full((3,), i)) for i in range(count)]
    assert all(isinstance(f.exception(), rm.DeadlineExceeded) for f in futures)
    assert not busy.done()
    gate.open()
    assert slow(7) == 7
    assert busy.wait() == 1
    assert all(isinstance(f.exception(), rm.DeadlineExceeded) for f in futures)


@pytest.mark.parametrize("size", [1, pytest.param(30_000, marks=pytest.mark.slow)])
def test_a_callback_hears_of_the_deadline(slow: Any, gate: Gate, size: int) -> None:
    """Without anybody waiting, the callback runs when the time is over, and once."""
    heard: list[tuple[float, Any]] = []
    told = threading.Event()
    took = Stopwatch()
    future = slow.with_options(timeout=0.15).held_async(torch.zeros(size), gate.name)

    def hear(done: Any) -> None:
        heard.append((took(), done.exception()))
        told.set()

    future.add_done_callback(hear)
    assert told.wait(30)  # the worker is still busy with it
    gate.open()
    assert slow(1) == 1
    ((when, error),) = heard
    assert isinstance(error, rm.DeadlineExceeded)
    assert when >= 0.15


@pytest.mark.slow
def test_awaited_calls_end_in_time(slow: Any, gate: Gate) -> None:
    """``await`` raises each call's deadline in its own time, in the middle of others that succeed."""

    async def one(timeout: float, name: str | None = None) -> tuple[str, float]:
        took = Stopwatch()
        patient = slow.with_options(timeout=timeout)
        value = torch.zeros(20_000)
        try:
            await (patient.held_async(value, name) if name else patient.forward_async(value))
        except rm.DeadlineExceeded:
            return "late", took()
        return "there", took()

    async def gather() -> list[tuple[str, float]]:
        patient = [asyncio.ensure_future(one(30, gate.name)), asyncio.ensure_future(one(30))]
        late = await asyncio.gather(one(0.1), one(0.2))
        assert not any(task.done() for task in patient)
        gate.open()
        return [*late, *await asyncio.gather(*patient)]

    outcomes = asyncio.run(gather())
    assert [outcome for outcome, _ in outcomes] == ["late", "late", "there", "there"]
    assert outcomes[0][1] >= 0.1
    assert outcomes[1][1] >= 0.2


@pytest.mark.slow
def test_a_callback_with_less_time_than_an_earlier_one(slow: Any, gate: Gate) -> None:
    """Its deadline is kept although, when it was added, somebody was attending to a longer one."""
    first, second = threading.Event(), threading.Event()
    slow.held_async(1, gate.name).add_done_callback(lambda f: first.set())
    time.sleep(0.1)
    hasty = slow.with_options(timeout=0.1).forward_async(2)
    hasty.add_done_callback(lambda f: second.set())
    assert second.wait(30)
    assert not first.is_set()
    assert isinstance(hasty.exception(), rm.DeadlineExceeded)
    gate.open()
    assert first.wait(30)


def test_a_long_wait_and_a_short_one(slow: Any, gate: Gate) -> None:
    """A short deadline is kept while another thread waits on the same connection for long."""
    long = threading.Thread(target=slow.held, args=(1, gate.name))
    long.start()
    time.sleep(0.05)
    with pytest.raises(rm.DeadlineExceeded):
        slow.with_options(timeout=0.1)(2)
    assert long.is_alive()
    gate.open()
    long.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "items"), [(2_000, 15_000), (300, 500_000), (20_000, 100)], ids=str
)
def test_a_full_connection_keeps_deadlines(slow: Any, gate: Gate, count: int, items: int) -> None:
    """The worker is busy and nothing more fits on the way to it: the caller does not wait as long as it is."""
    busy = slow.held_async(1, gate.name)
    hasty = slow.with_options(timeout=0.5)
    value = torch.zeros(items)
    took = Stopwatch()
    futures, late = [], 0
    for _ in range(count):
        try:
            futures.append(hasty.forward_async(value))
        except rm.DeadlineExceeded:
            late += 1
        if took() > 0.6:
            break
    late += sum(isinstance(f.exception(), rm.DeadlineExceeded) for f in futures)
    assert late >= len(futures) > 0
    with pytest.raises(rm.DeadlineExceeded):
        hasty(value)
    assert not busy.done()
    gate.open()
    assert busy.wait() == 1
    assert torch.equal(slow(value), value)


def test_a_result_larger_than_the_way_keeps_the_deadline(slow: Any) -> None:
    """A call whose answer is on its way in pieces when the time is over is given up like any other."""
    hasty = slow.with_options(timeout=0.1)
    for _ in range(3):
        with pytest.raises(rm.DeadlineExceeded):
            hasty.made(4 * MIB, 0.15)
        assert float(slow.made(5_000, 0)[4_999]) == 1


@pytest.mark.slow
def test_late_results_are_let_go(slow: Any) -> None:
    """What arrives for calls that were given up (or cancelled) holds no memory."""

    def resident() -> int:
        text = Path("/proc/self/smaps_rollup").read_text()
        return int(text.split("Rss:")[1].split()[0]) * 1024

    def expire(times: int) -> None:
        hasty = slow.with_options(timeout=0.05)
        for _ in range(times):
            late = hasty.forward_async(torch.ones(MIB), 0.15)
            slow.forward_async(torch.ones(MIB)).cancel()
            assert isinstance(late.exception(), rm.DeadlineExceeded)
            assert slow(1) == 1

    expire(5)
    gc.collect()
    before = resident()
    expire(15)
    gc.collect()
    assert eventually(lambda: resident() - before < 16 * MIB)
