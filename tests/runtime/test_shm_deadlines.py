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

MIB = 2**20


class Slow(nn.Module):
    """Takes its time."""

    def forward(self, value: Any, seconds: float = 0.0) -> Any:
        """The value, later."""
        time.sleep(seconds)
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
def test_a_call_to_a_busy_worker_ends_in_time(slow: Any, size: int) -> None:
    """The bound counts from the call on, though the worker has not begun with it."""
    busy = slow.forward_async(1, 0.5)
    took = Stopwatch()
    with pytest.raises(rm.DeadlineExceeded):
        slow.with_options(timeout=0.1)(torch.zeros(size))
    assert took() >= 0.1
    assert not busy.done()
    assert busy.wait() == 1


@pytest.mark.parametrize(
    ("count", "seconds"), [(400, 1.0), pytest.param(1_500, 4.0, marks=pytest.mark.slow)], ids=str
)
def test_many_expired_calls_and_a_good_one(slow: Any, count: int, seconds: float) -> None:
    """Thousands of calls expire while the worker is busy; what comes late disturbs nobody."""
    busy = slow.forward_async(1, seconds)
    hasty = slow.with_options(timeout=0.1)
    futures = [hasty.forward_async(torch.full((3,), i)) for i in range(count)]
    assert all(isinstance(f.exception(), rm.DeadlineExceeded) for f in futures)
    assert not busy.done()
    assert slow(7) == 7
    assert busy.wait() == 1
    assert all(isinstance(f.exception(), rm.DeadlineExceeded) for f in futures)


@pytest.mark.parametrize("size", [1, pytest.param(30_000, marks=pytest.mark.slow)])
def test_a_callback_hears_of_the_deadline(slow: Any, size: int) -> None:
    """Without anybody waiting, the callback runs when the time is over, and once."""
    heard: list[tuple[float, Any]] = []
    told = threading.Event()
    took = Stopwatch()
    future = slow.with_options(timeout=0.15).forward_async(torch.zeros(size), 0.6)

    def hear(done: Any) -> None:
        heard.append((took(), done.exception()))
        told.set()

    future.add_done_callback(hear)
    assert told.wait(5)
    assert slow(1) == 1
    ((when, error),) = heard
    assert isinstance(error, rm.DeadlineExceeded)
    assert 0.15 <= when < 0.55


@pytest.mark.slow
def test_awaited_calls_end_in_time(slow: Any) -> None:
    """``await`` raises each call's deadline in its own time, in the middle of others that succeed."""

    async def one(timeout: float, seconds: float, begin: float = 0.0) -> tuple[str, float]:
        await asyncio.sleep(begin)
        took = Stopwatch()
        try:
            await slow.with_options(timeout=timeout).forward_async(torch.zeros(20_000), seconds)
        except rm.DeadlineExceeded:
            return "late", took()
        return "there", took()

    async def gather() -> list[tuple[str, float]]:
        return list(
            await asyncio.gather(one(5, 0.7), one(0.1, 0, 0.02), one(0.2, 0), one(5, 0, 0.01))
        )

    outcomes = asyncio.run(gather())
    assert [outcome for outcome, _ in outcomes] == ["there", "late", "late", "there"]
    assert 0.1 <= outcomes[1][1] < outcomes[0][1]
    assert 0.2 <= outcomes[2][1] < outcomes[0][1]


@pytest.mark.slow
def test_a_callback_with_less_time_than_an_earlier_one(slow: Any) -> None:
    """Its deadline is kept although, when it was added, somebody was attending to a longer one."""
    first, second = threading.Event(), threading.Event()
    slow.forward_async(1, 0.8).add_done_callback(lambda f: first.set())
    time.sleep(0.1)
    hasty = slow.with_options(timeout=0.1).forward_async(2)
    hasty.add_done_callback(lambda f: second.set())
    assert second.wait(5)
    assert not first.is_set()
    assert isinstance(hasty.exception(), rm.DeadlineExceeded)
    assert first.wait(5)


def test_a_long_wait_and_a_short_one(slow: Any) -> None:
    """A short deadline is kept while another thread waits on the same connection for long."""
    long = threading.Thread(target=slow, args=(1, 0.4))
    long.start()
    time.sleep(0.05)
    with pytest.raises(rm.DeadlineExceeded):
        slow.with_options(timeout=0.1)(2)
    assert long.is_alive()
    long.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "items"), [(2_000, 15_000), (300, 500_000), (20_000, 100)], ids=str
)
def test_a_full_connection_keeps_deadlines(slow: Any, count: int, items: int) -> None:
    """The worker sleeps and nothing more fits on the way to it: the caller does not sleep with it."""
    busy = slow.forward_async(1, 3.0)
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
    assert took() < 1.5
    assert late >= len(futures) > 0
    took = Stopwatch()
    with pytest.raises(rm.DeadlineExceeded):
        hasty(value)
    assert took() < 1.0
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
