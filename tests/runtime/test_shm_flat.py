"""However many calls are made, neither process grows: memory, mappings, descriptors, threads, objects."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import remotemod as rm
from remotemod.testing.helpers import eventually
from remotemod.testing.zoo import Echo

pytestmark = pytest.mark.slow
MIB = 2**20


@pytest.fixture
def echo(fork_server: None) -> Iterator[Any]:
    """A worker that nobody used before."""
    with rm.launch(workers=["w"]) as cluster:
        yield rm.RemoteModule("w", Echo, cluster=cluster)


class Figures(NamedTuple):
    """What one process has."""

    memory: int
    maps: int
    files: int
    threads: int
    objects: int


def resident(pid: int | str) -> int:
    """Bytes that a process has in memory, those that it shares among them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Rss in smaps_rollup")


def figures() -> Figures:
    """Those of the process that runs this."""
    gc.collect()
    return Figures(
        resident("self"),
        len(Path("/proc/self/maps").read_text().splitlines()),
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        len(gc.get_objects()),
    )


def both() -> tuple[Figures, Figures]:
    """The caller's and the worker's figures."""
    return figures(), rm.rpc_sync("w", figures)


def assert_flat(before: tuple[Figures, Figures], slack: int, objects: int = 2_000) -> None:
    """Asserts that nothing has grown by more than a few pieces, nor memory by more than ``slack``."""
    for old, new in zip(before, both(), strict=True):
        growth = Figures(*(b - a for a, b in zip(old, new, strict=True)))
        assert growth.memory <= slack, growth
        assert growth.maps <= 24, growth
        assert growth.files <= 4, growth
        assert growth.threads <= 1, growth
        assert growth.objects <= objects, growth


@pytest.mark.parametrize(
    ("calls", "items", "slack"),
    [(30_000, 4, 4 * MIB), (5_000, 25_600, 8 * MIB), (1_000, 262_144, 8 * MIB)],
    ids=str,
)
def test_blocking_calls_leave_nothing_behind(echo: Any, calls: int, items: int, slack: int) -> None:
    """30,000 small calls, 5,000 of 100 KiB, 1,000 of 1 MiB."""
    value = torch.arange(items, dtype=torch.float32)
    with torch.no_grad():
        for _ in range(calls // 10):
            echo(value)
        before = both()
        for _ in range(calls - calls // 10):
            result = echo(value)
    assert torch.equal(result, value)
    del result
    assert_flat(before, slack, objects=500)


def test_calls_of_every_size_leave_nothing_behind(echo: Any) -> None:
    """Sizes that never repeat, in flight and held for a while, do not fragment the memory that is shared."""
    choose = random.Random(5)
    sizes = [choose.randrange(1, 400_000) for _ in range(1_500)]
    source = torch.ones(400_000, dtype=torch.bfloat16)

    def round_of(chosen: list[int]) -> None:
        held: list[torch.Tensor] = []
        for at in range(0, len(chosen), 10):
            futures = [echo.forward_async(source[:n]) for n in chosen[at : at + 10]]
            held = held[-5:] + [f.wait() for f in futures]
            assert [len(h) for h in held[-10:]] == chosen[at : at + 10]

    round_of(sizes[:500])
    before = both()
    round_of(sizes[500:])
    # What described a thousand new shapes is remembered, up to a bound.
    assert_flat(before, 48 * MIB, objects=20_000)


def test_failed_and_refused_calls_leave_nothing_behind(echo: Any) -> None:
    """Errors on either side, with large tensors beside them, hold on to nothing."""
    value = torch.zeros(50_000)

    def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(rm.ProtocolError):
                echo([value, (i for i in "x")])
            with pytest.raises(TypeError):
                echo(value, value)
            with pytest.raises(ValueError, match="far"):
                rm.rpc_sync("w", fail_with, (value,))

    fail(100)
    before = both()
    fail(600)
    assert_flat(before, 8 * MIB)


def fail_with(value: torch.Tensor) -> None:
    raise ValueError(f"too far: {len(value)}")


def test_futures_that_nobody_reads_leave_nothing_behind(echo: Any) -> None:
    """Dropped futures of large results cost nothing once a later call was answered."""
    value = torch.zeros(100_000)

    def drop(times: int) -> None:
        for _ in range(times):
            for _ in range(20):
                echo.forward_async(value)
            echo(1)

    drop(10)
    before = both()
    drop(90)
    assert_flat(before, 16 * MIB)


def test_memory_returns_after_a_huge_result_has_died(echo: Any) -> None:
    """256 MiB there and back are given back to the system, on both sides, while calls go on."""
    pid = rm.rpc_sync("w", os.getpid)
    value = torch.zeros(MIB // 4)
    for _ in range(20):
        echo(value)
    before = resident("self") + resident(pid)
    huge = torch.ones(256 * MIB // 4)
    result = echo(huge)
    assert resident("self") + resident(pid) - before > 400 * MIB
    assert torch.equal(result, huge)
    del huge, result
    gc.collect()

    def back() -> bool:
        for _ in range(20):
            echo(value)
        time.sleep(0.1)
        return resident("self") + resident(pid) - before < 64 * MIB

    assert eventually(back, 10)
