"""The flow of calls over one connection: what is dropped, what waits, what runs at once, who may call from where."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing.zoo import Echo
from tests.gate import Gate, held


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Keeps a worker busy until the test opens it, or ends."""
    gate = Gate(tmp_path)
    yield gate
    gate.open()


class Recorder(nn.Module):
    """Notes what it was called with, and how many calls ran at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.now = self.most = 0
        self.lock = threading.Lock()

    def forward(self, number: int, seconds: float = 0.0, gate: str | None = None) -> int:
        """Sleeps, waits for a gate, and returns the number."""
        with self.lock:
            self.seen.append(number)
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(seconds)
        if gate is not None:
            held(gate)
        with self.lock:
            self.now -= 1
        return number

    def numbers(self) -> list[int]:
        """What calls have begun."""
        return self.seen

    def at_once(self) -> int:
        """The most calls that ran at the same time."""
        return self.most


def test_a_cancelled_call_that_has_not_begun_never_does(shm: rm.Cluster, gate: Gate) -> None:
    """The worker drops what was given up while it was busy, and nothing else."""
    recorder = rm.RemoteModule("ps0", Recorder)
    futures = [recorder.forward_async(0, 0.0, gate.name)]
    futures += [recorder.forward_async(n) for n in range(1, 20)]
    time.sleep(0.1)  # it has begun with the first
    cancelled = [n for n in range(1, 20) if futures[n].cancel() and n % 2]
    assert len(cancelled) == 10
    gate.open()
    assert futures[0].wait() == 0
    assert recorder.numbers() == [0]
    assert not futures[0].cancel()
    with pytest.raises(rm.Cancelled):
        futures[1].wait()


def test_a_call_whose_deadline_is_over_is_not_begun(shm: rm.Cluster, gate: Gate) -> None:
    """What nobody waits for any more is not worth the work."""
    recorder = rm.RemoteModule("ps0", Recorder)
    hurried = recorder.with_options(timeout=0.1)
    busy = recorder.forward_async(0, 0.0, gate.name)
    late = [hurried.forward_async(n) for n in range(1, 4)]
    for future in late:
        with pytest.raises(rm.DeadlineExceeded):
            future.wait()
    with pytest.raises(rm.DeadlineExceeded):
        hurried(9)
    gate.open()
    assert busy.wait() == 0
    assert recorder.numbers() == [0]


@pytest.mark.slow
def test_who_submits_more_than_may_be_in_flight_waits(fork_server: None, gate: Gate) -> None:
    """The bound holds, every call is answered, and a deadline ends the waiting."""
    with rm.launch(workers=["w"], in_flight=4):
        recorder = rm.RemoteModule("w", Recorder)
        start = time.monotonic()
        futures = [recorder.forward_async(n, 0.05) for n in range(8)]
        assert time.monotonic() - start > 0.1
        assert [future.wait() for future in futures] == list(range(8))
        busy = [recorder.forward_async(n, 0.0, gate.name) for n in range(4)]
        late = recorder.with_options(timeout=0.1).forward_async(9)
        assert isinstance(late.exception(), rm.DeadlineExceeded)
        gate.open()
        assert [future.wait() for future in busy] == list(range(4))
        assert 9 not in recorder.numbers()


@pytest.mark.parametrize("most", [1, 3])
def test_a_worker_runs_as_many_calls_at_once_as_it_was_told(most: int, fork_server: None) -> None:
    """Calls begin in their order; without the option one after another."""
    with rm.launch(workers=["w"], max_concurrency=most):
        recorder = rm.RemoteModule("w", Recorder)
        futures = [recorder.forward_async(n, 0.1) for n in range(6)]
        assert [future.wait() for future in futures] == list(range(6))
        assert recorder.at_once() == most
        assert recorder.numbers() == list(range(6))


def test_a_handle_may_go_while_its_calls_run_at_once(fork_server: None) -> None:
    """A release overtakes no call that was sent before it."""
    with rm.launch(workers=["w"], max_concurrency=4):
        for _ in range(20):
            recorder = rm.RemoteModule("w", Recorder)
            futures = [recorder.forward_async(n, 0.001) for n in range(8)]
            del recorder
            assert [future.wait() for future in futures] == list(range(8))


def within(seconds: float, what: Callable[[], Any]) -> Any:
    """The result of ``what`` in another thread; fails if it takes longer."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(what()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it hangs"
    return found[0]


def test_a_callback_may_call_and_wait(shm: rm.Cluster) -> None:
    """Blocking calls, more calls and waiting for others work in the thread that completes futures."""
    echo = rm.RemoteModule("ps0", Echo)
    other = echo.forward_async(1)
    seen: list[Any] = []

    def called(_: rm.Future[Any]) -> None:
        seen.append(echo(torch.ones(300_000)).sum().item())
        seen.append(other.wait())
        seen.append(echo.forward_async(2).wait())

    def run() -> bool:
        first = echo.forward_async(0)
        first.add_done_callback(called)
        first.wait()
        while len(seen) < 3:
            time.sleep(0.001)
        return True

    assert within(20, run)
    assert seen == [300_000.0, 1, 2]


def test_a_callback_may_flood(fork_server: None) -> None:
    """A callback that submits more than may be in flight, of more than the socket takes, ends."""
    with rm.launch(workers=["w"], in_flight=8, arena=0):
        echo = rm.RemoteModule("w", Echo)
        big = torch.ones(500_000)
        futures: list[rm.Future[Any]] = []

        def flood(_: rm.Future[Any]) -> None:
            futures.extend(echo.forward_async(big) for _ in range(40))

        def run() -> bool:
            first = echo.forward_async(big)
            first.add_done_callback(flood)
            first.wait()
            while len(futures) < 40:
                time.sleep(0.001)
            return all(torch.equal(future.wait(), big) for future in futures)

        assert within(60, run)


@pytest.mark.slow
def test_an_awaited_call_keeps_its_own_deadline(shm: rm.Cluster, gate: Gate) -> None:
    """A short bound ends an ``await`` in time though a longer one was there first."""
    recorder = rm.RemoteModule("ps0", Recorder)
    hurried = recorder.with_options(timeout=0.2)

    async def run() -> None:
        slow = asyncio.ensure_future(_await(recorder.forward_async(0, 0.0, gate.name)))
        await asyncio.sleep(0.05)
        with pytest.raises(rm.DeadlineExceeded):
            await hurried.forward_async(1)
        assert not slow.done()
        gate.open()
        assert await slow == 0

    asyncio.run(run())


async def _await(future: rm.Future[Any]) -> Any:
    return await future


@pytest.mark.slow
def test_a_deadline_holds_while_the_worker_reads_nothing(fork_server: None, gate: Gate) -> None:
    """A full socket makes nobody wait longer than he said, and half a message harms nobody."""
    with rm.launch(workers=["w"], arena=0):
        echo, recorder = rm.RemoteModule("w", Echo), rm.RemoteModule("w", Recorder)
        hurried = echo.with_options(timeout=0.3)
        busy = recorder.forward_async(0, 0.0, gate.name)
        for _ in range(3):
            with pytest.raises(rm.DeadlineExceeded):
                hurried(torch.ones(4_000_000))
        assert not busy.done()
        gate.open()
        assert busy.wait() == 0
        assert echo(5) == 5
        assert torch.equal(echo(torch.arange(1_000_000)), torch.arange(1_000_000))
