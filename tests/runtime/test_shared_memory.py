"""The shared memory under the shm backend: blocks never overlap, are used again, and their pages go back to the system."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import remotemod as rm
from remotemod.backends.shm.arena import Arena
from remotemod.backends.shm.free_list import FreeList
from remotemod.backends.shm.heap import Heap, heap
from remotemod.backends.shm.memory import PAGE

KIB = 1024


@given(st.lists(st.integers(1, 3000) | st.none(), max_size=60), st.randoms(use_true_random=False))
def test_blocks_never_overlap_and_all_come_back(steps: list[int | None], random: object) -> None:
    """Whatever is allocated and freed in whatever order, nothing is handed out twice or lost."""
    free_list = FreeList(16 * KIB, 64)
    allocated: dict[int, int] = {}
    for size in steps:
        if size is None:
            if allocated:
                start = random.choice(sorted(allocated))  # type: ignore[attr-defined]
                del allocated[start]
                free_list.free(start)
            continue
        start = free_list.allocate(size)
        if start is None:
            continue
        assert start % 64 == 0
        assert start + size <= 16 * KIB
        assert all(start + size <= other or other + n <= start for other, n in allocated.items())
        allocated[start] = size
    for start in allocated:
        free_list.free(start)
    assert free_list.allocate(16 * KIB) == 0


def test_an_arena_says_when_it_is_full_and_goes_on_when_it_is_not() -> None:
    """Without room there is no block; with one freed there is."""
    arena = Arena(4 * PAGE)
    data = torch.zeros(4 * PAGE, dtype=torch.uint8)
    offsets = [arena.write(data.data_ptr(), PAGE) for _ in range(4)]
    assert offsets == [0, PAGE, 2 * PAGE, 3 * PAGE]
    assert arena.write(data.data_ptr(), 1) is None
    arena.free(PAGE)
    arena.free(2 * PAGE)
    assert arena.write(data.data_ptr(), 2 * PAGE) == PAGE
    assert arena.in_use == 4 * PAGE


def test_pages_that_are_not_needed_any_more_go_back() -> None:
    """After a number of messages without large ones, an arena takes no memory."""
    arena = Arena(1 << 24)
    data = torch.ones(1 << 22, dtype=torch.uint8)
    offset = arena.write(data.data_ptr(), 1 << 22)
    assert offset == 0
    assert resident(arena.memory.fd) >= 1 << 22
    arena.free(offset)
    for _ in range(3 * 256):
        arena.count_message()
    assert resident(arena.memory.fd) == 0


def resident(fd: int) -> int:
    """The bytes that a memfd has pages for."""
    return os.stat(fd).st_blocks * 512


def test_a_heap_frees_a_block_after_its_last_holder() -> None:
    """A block that was lent is free when its tensor and the borrower have both let go."""
    blocks = Heap()
    buffer = blocks.allocate(3 * PAGE)
    assert buffer is not None
    address = blocks.memory.address + 100
    assert blocks.lend(address) == 100
    assert blocks.lend(torch.ones(1).data_ptr()) is None
    del buffer
    again = blocks.allocate(3 * PAGE)
    blocks.release(100)
    last = blocks.allocate(3 * PAGE)
    assert blocks.memory.address == torch.frombuffer(last, dtype=torch.uint8).data_ptr()
    del again


class Doubler(nn.Module):
    """Doubles in place what it is given, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> float:
        """The sum before."""
        total = float(x.sum())
        x *= 2
        self.kept.append(x)
        return total

    def total(self) -> float:
        """The sum of what was kept."""
        return float(sum(x.sum() for x in self.kept))


def make_shared(n: int) -> torch.Tensor:
    """On a worker: a result that is in shared memory from the beginning."""
    return rm.empty(n).fill_(3.0)


def test_an_empty_tensor_is_seen_by_both_sides(shm: rm.Cluster) -> None:
    """To send it copies nothing: what the worker writes, the caller reads, and the other way round."""
    doubler = rm.RemoteModule("ps0", Doubler)
    x = rm.empty((100, 1000)).fill_(1.0)
    assert doubler(x) == 100_000.0
    assert x[0, 0].item() == 2.0
    x[:50].fill_(0.0)
    assert doubler.total() == 100_000.0
    result = rm.rpc_sync("ps1", make_shared, (100_000,))
    assert result.sum().item() == 300_000.0


def test_an_empty_tensor_outlives_neither_holder(shm: rm.Cluster) -> None:
    """What the worker keeps stays as it is after the caller's tensor has died and others were made."""
    doubler = rm.RemoteModule("ps0", Doubler)
    x = rm.empty(100_000).fill_(1.0)
    doubler(x)
    del x
    gc.collect()
    others = [rm.empty(100_000).fill_(7.0) for _ in range(5)]
    assert doubler.total() == 200_000.0
    before = len(heap()._ref_counts)
    del others, doubler
    gc.collect()
    rm.rpc_sync("ps0", gc.collect)
    rm.empty(100_000)
    assert len(heap()._ref_counts) < before


def test_empty_is_like_torchs() -> None:
    """Shapes, dtypes and ``requires_grad``; and a clear error for what is no shape."""
    assert rm.empty(3).shape == (3,)
    assert rm.empty(()).shape == ()
    assert rm.empty((0, 4)).shape == (0, 4)
    assert rm.empty((2, 2), torch.bfloat16).dtype is torch.bfloat16
    made = rm.empty((2, 3), requires_grad=True)
    assert made.requires_grad
    assert made.is_leaf
    assert not made._is_view()
    with pytest.raises(ValueError, match="negative"):
        rm.empty((2, -1))


def test_results_beyond_the_arena_arrive_too(fork_server: None) -> None:
    """What finds no room goes through the socket; nothing is lost."""
    with rm.launch(workers=["w"], arena=1 << 20):
        results = [rm.rpc_sync("w", torch.full, ((100_000,), float(n))) for n in range(8)]
        assert [r[0].item() for r in results] == list(map(float, range(8)))
        assert all(bool((r == r[0]).all()) for r in results)


def test_without_an_arena_everything_goes_through_the_socket(fork_server: None) -> None:
    """``arena=0`` is slower and as correct."""
    with rm.launch(workers=["w"], arena=0):
        x = torch.rand(1 << 20)
        assert torch.equal(rm.rpc_sync("w", torch.neg, (x,)), -x)


@pytest.mark.parametrize(
    "options", [{"arena": -1}, {"max_concurrency": 0}, {"in_flight": 0}, {"arena": "1 GiB"}]
)
def test_nonsense_options_are_refused(options: dict[str, object]) -> None:
    """The error names the option and what it takes."""
    with pytest.raises(ValueError, match=next(iter(options))):
        rm.launch(workers=1, **options)


@pytest.mark.slow
def test_a_bound_on_address_space_leaves_less_of_it() -> None:
    """``ulimit -v`` makes shared memory smaller, and breaks nothing."""
    script = textwrap.dedent(
        """
        import resource, torch
        import remotemod as rm
        resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
        with rm.launch():
            x = torch.rand(1_000_000)
            assert torch.equal(rm.rpc_sync("worker0", torch.neg, (x,)), -x)
            print(float(rm.rpc_sync("worker0", torch.sum, (rm.empty(100_000).fill_(1.0),))))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "100000.0\n", done.stderr


def test_nothing_is_left_in_dev_shm(shm: rm.Cluster) -> None:
    """Shared memory has no name that could stay behind."""
    rm.rpc_sync("ps0", torch.neg, (rm.empty(100_000).zero_(),))
    assert not [p for p in Path("/dev/shm").glob("*") if "remotemod" in p.name]
