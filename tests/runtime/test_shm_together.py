"""Many callers at once: threads, tasks, callbacks, workers among themselves, and large tensors both ways."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.zoo import Echo

SIZES = (1, 4_000, 4_097, 16_383, 16_384, 20_000, 262_144)


@pytest.fixture(scope="module")
def pair(fork_server: None) -> Iterator[rm.Cluster]:
    """Two workers of this file's own."""
    with rm.launch(workers=["a", "b"], timeout=20) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def echoes(pair: rm.Cluster) -> list[Any]:
    """An echo on each worker."""
    return [rm.RemoteModule(name, Echo, cluster=pair) for name in pair.workers]


def value_of(number: int, size: int) -> Tensor:
    return torch.full((size,), float(number))


def check(found: Any, number: int, size: int) -> bool:
    return len(found) == size and bool((found == number).all())


def all_at_once(work: Callable[[int], Any], count: int, seconds: float = 60) -> list[Any]:
    """What ``work`` returns for each number, all run at the same time; what it raises instead of it."""
    results: list[Any] = [TimeoutError("still running")] * count

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return results


@pytest.mark.parametrize("workers", [1, 2])
def test_threads_with_every_size(echoes: list[Any], workers: int) -> None:
    """Eight threads, blocking and not, on one worker and on two, each get what they sent."""

    def work(number: int) -> int:
        wrong = 0
        for i in range(40):
            size = SIZES[(number + i) % len(SIZES)]
            remote = echoes[(number + i) % workers]
            mark = number * 1000 + i
            if i % 3:
                wrong += not check(remote(value_of(mark, size)), mark, size)
            else:
                future = remote.forward_async(value_of(mark, size))
                inside = remote({"x": [value_of(mark + 1, size)]})["x"][0]
                wrong += not check(inside, mark + 1, size)
                wrong += not check(future.wait(30), mark, size)
        return wrong

    assert all_at_once(work, 8) == [0] * 8


def test_hundreds_of_tasks(echoes: list[Any]) -> None:
    """``asyncio.gather`` of mixed sizes on two workers gives each task its own."""

    async def one(i: int) -> bool:
        size = SIZES[i % len(SIZES)]
        return check(await echoes[i % 2].forward_async(value_of(i, size)), i, size)

    async def gather() -> list[bool]:
        return list(await asyncio.gather(*(one(i) for i in range(400))))

    assert asyncio.run(asyncio.wait_for(gather(), 60)) == [True] * 400


@pytest.mark.parametrize("size", SIZES)
def test_callbacks_that_call(echoes: list[Any], size: int) -> None:
    """A callback may start the next call, on its own worker and on another one."""
    done, seen = threading.Event(), []

    def follow(future: Any) -> None:
        number = len(seen)
        seen.append(check(future.wait(), number, size))
        if number == 30:
            done.set()
            return
        echoes[number % 2].forward_async(value_of(number + 1, size)).add_done_callback(follow)

    echoes[0].forward_async(value_of(0, size)).add_done_callback(follow)
    assert done.wait(30)
    assert seen == [True] * 31


@pytest.fixture
def fresh(fork_server: None) -> Iterator[list[Any]]:
    """Two echoes on workers that nobody else depends on."""
    with rm.launch(workers=["a", "b"], timeout=5) as cluster:
        yield [rm.RemoteModule(name, Echo, cluster=cluster) for name in cluster.workers]


@pytest.mark.parametrize("size", [1, 20_000])
def test_callbacks_that_wait(fresh: list[Any], size: int) -> None:
    """A callback may wait for another call, of its own worker as well as of another one."""
    done, seen = threading.Event(), []

    def follow(future: Any) -> None:
        seen.extend(check(echo(value_of(3, size)), 3, size) for echo in fresh)
        done.set()

    fresh[0].forward_async(value_of(0, size)).add_done_callback(follow)
    assert done.wait(10)
    assert seen == [True, True]
    assert fresh[0](1) == 1


def test_callbacks_that_start_very_much(fresh: list[Any]) -> None:
    """A callback may start more calls than fit on the way to the worker."""
    done, started = threading.Event(), []

    def follow(future: Any) -> None:
        started.extend(fresh[0].forward_async(value_of(i, 15_000)) for i in range(300))
        done.set()

    fresh[0].forward_async(1).add_done_callback(follow)
    assert done.wait(10)
    assert [check(f.wait(), i, 15_000) for i, f in enumerate(started)] == [True] * 300


@pytest.mark.parametrize(
    ("count", "size"),
    [(400, 15_000), (64, 262_144), pytest.param(64, 2**20, marks=pytest.mark.slow)],
    ids=str,
)
def test_nobody_reads_while_both_ways_are_full(echoes: list[Any], count: int, size: int) -> None:
    """Calls are started without reading a result, far beyond what sockets hold; nothing deadlocks."""

    def work(_: int) -> list[bool]:
        futures = [echoes[0].forward_async(value_of(i, size)) for i in range(count)]
        return [check(f.wait(60), i, size) for i, f in enumerate(futures)]

    assert all_at_once(work, 1) == [[True] * count]


@pytest.mark.slow
def test_threads_fill_both_ways(echoes: list[Any]) -> None:
    """Four threads start large calls to one worker without reading, one of them by callbacks alone."""

    def work(number: int) -> int:
        size, counted = (15_000, 20_000, 300_000, 4)[number], threading.Semaphore(0)
        futures = [echoes[1].forward_async(value_of(i, size)) for i in range(60)]
        if number == 3:
            for future in futures:
                future.add_done_callback(lambda f: counted.release())
            return sum(counted.acquire(timeout=30) for _ in futures)
        return sum(check(f.wait(60), i, size) for i, f in enumerate(futures))

    assert all_at_once(work, 4) == [60] * 4


@pytest.mark.slow
def test_tens_of_thousands_in_flight(echoes: list[Any]) -> None:
    """20,000 calls are started before the first result is read, in any order."""
    futures = [echoes[0].forward_async(i) for i in range(20_000)]
    assert futures[19_999].wait(60) == 19_999
    assert [f.wait(60) for f in reversed(futures)] == list(reversed(range(20_000)))


class Relay(nn.Module):
    """Calls another remote module from its worker."""

    def __init__(self, other: Any) -> None:
        super().__init__()
        self.other = other

    def forward(self, number: int, size: int, times: int) -> int:
        """How many of several calls gave a wrong result."""
        return sum(
            not check(self.other(value_of(number, size)), number, size) for _ in range(times)
        )

    def started(self, number: int, size: int, times: int) -> int:
        """The same, with all of them in flight at once."""
        futures = [self.other.forward_async(value_of(number, size)) for _ in range(times)]
        return sum(not check(f.wait(), number, size) for f in futures)


def test_workers_call_each_other(pair: rm.Cluster, echoes: list[Any]) -> None:
    """Each worker calls the other's module while the caller calls both, with tensors of every size."""
    relays = [
        rm.RemoteModule("a", Relay, args=(echoes[1],), cluster=pair),
        rm.RemoteModule("b", Relay, args=(echoes[0],), cluster=pair),
    ]

    def work(number: int) -> int:
        wrong = 0
        for i, size in enumerate(SIZES):
            relay = relays[number % 2]
            if number < 2:
                wrong += relay(number, size, 8)
            elif number < 4:
                wrong += relay.started(number, size, 8)
            else:
                wrong += not check(echoes[number % 2](value_of(i, size)), i, size)
        return wrong

    assert all_at_once(work, 6) == [0] * 6


def held_slices(module: nn.Module, size: int) -> list[float]:
    """Slices of another worker's results, looked at when all of them have arrived."""
    with torch.no_grad():
        kept = [module(value_of(i, size))[5:10] for i in range(20)]
        return [float(k.sum()) / 5 for k in kept]


def test_a_passed_module_is_called_from_the_other_worker(echoes: list[Any]) -> None:
    """A module that was passed as an argument is used there while its owner serves the caller."""
    futures = [rm.rpc_async("b", held_slices, (echoes[0], size)) for size in SIZES[1:]]
    assert all(check(echoes[0](value_of(i, 20_000)), i, 20_000) for i in range(50))
    assert [f.wait(30) for f in futures] == [[float(i) for i in range(20)]] * len(futures)


def interrupted(after: float, work: Callable[[], object]) -> bool:
    """Runs something again and again until Ctrl-C is pressed some seconds from now.

    Python drops what is raised inside of a finalizer; a user then presses again, and so does this.
    """
    heard = threading.Event()

    def press() -> None:
        wait = after
        while not heard.wait(wait):
            os.kill(os.getpid(), signal.SIGINT)
            wait = 0.5

    presser = threading.Thread(target=press, daemon=True)
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        presser.start()
        while True:
            work()
    except KeyboardInterrupt:
        heard.set()
        return True
    finally:
        presser.join()
        signal.signal(signal.SIGINT, old)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [10, 15_000, 30_000, 2**20])
def test_an_interrupted_wait_loses_no_result(fresh: list[Any], size: int) -> None:
    """Ctrl-C at any moment of waiting: every result is still to be had, and the next call works."""
    echo = fresh[0]
    for i in range(40):
        futures = [echo.forward_async(value_of(n, size)) for n in range(6)]
        assert interrupted(i * 0.0002, lambda futures=futures: [f.wait() for f in futures])
        assert [check(f.wait(10), n, size) for n, f in enumerate(futures)] == [True] * 6
        assert check(echo(value_of(i, size)), i, size)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [10, 30_000, 2**20])
def test_an_interrupted_call_spares_the_next(fresh: list[Any], size: int) -> None:
    """Ctrl-C at any moment of a loop of calls, in the middle of sending too: the next call works."""
    echo, value = fresh[0], value_of(1, size)
    for i in range(40):
        assert interrupted(0.005 + i * 0.0003, lambda: echo(value))
        assert check(echo(value_of(i, size)), i, size)
