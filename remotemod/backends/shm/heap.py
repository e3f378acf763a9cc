"""Tensors that are allocated in shared memory, so that sending one copies nothing."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from remotemod.backends.shm.free_list import FreeList
from remotemod.backends.shm.memory import PAGE, OwnMemory, ReclaimedSlots
from remotemod.process import Slot, slot

__all__ = ["Heap", "empty", "heap"]


class Heap:
    """The shared memory of this process for the tensors of :func:`empty`.

    A block is freed when neither this process nor any receiver has a tensor there.
    """

    def __init__(self) -> None:
        # As large as all memory of the machine; only what is written takes any.
        self.memory = OwnMemory(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        self._free_list: FreeList | None = None
        self._starts: list[int] = []  # of the allocated blocks, sorted
        self._ref_counts: dict[int, int] = {}
        self._reclaimed = ReclaimedSlots()
        self._released: deque[int] = deque()
        self._lock = threading.Lock()

    def allocate(self, size: int) -> memoryview | None:
        """Returns a buffer of ``size`` bytes; None where there is no room."""
        with self._lock:
            if self._free_list is None:
                self.memory.map()
                self._free_list = FreeList(self.memory.size, PAGE)
            self._collect(self._free_list)
            offset = self._free_list.allocate(size)
            if offset is None:
                return None
            insort(self._starts, offset)
            self._ref_counts[offset] = 1
        buffer = self.memory.buffer[offset : offset + size]
        self._reclaimed.watch(buffer, offset)
        return buffer

    def lend(self, address: int) -> int | None:
        """Returns the offset of a tensor's bytes, of which a receiver has one more reference; None if they lie elsewhere."""
        offset = address - self.memory.address
        if not self.memory.address or not 0 <= offset < self.memory.size:
            return None
        with self._lock:
            self._ref_counts[self._start(offset)] += 1
        return offset

    def release(self, offset: int) -> None:
        """Drops one reference to the block around an offset; never blocks."""
        self._released.append(offset)

    def _collect(self, free_list: FreeList) -> None:
        self._released.extend(self._reclaimed.collect())
        while self._released:
            start = self._start(self._released.popleft())
            self._ref_counts[start] -= 1
            if not self._ref_counts[start]:
                del self._ref_counts[start]
                self._starts.remove(start)
                self.memory.release_pages(start, start + free_list.allocated[start])
                free_list.free(start)

    def _start(self, offset: int) -> int:
        return self._starts[bisect_right(self._starts, offset) - 1]


# A forked child has its parent's tensors, but peers of its own: it begins with an empty heap.
_HEAP: Slot[Heap | None] = slot("the heap of this process", lambda: None, in_child="new")
_LOCK = slot("guards the creation of the heap", threading.Lock, in_child="new")


def heap() -> Heap:
    """The heap of this process, created at the first use."""
    with _LOCK.value:
        if _HEAP.value is None:
            _HEAP.value = Heap()
        return _HEAP.value


def empty(
    shape: int | Sequence[int], dtype: torch.dtype | None = None, *, requires_grad: bool = False
) -> Tensor:
    """An uninitialized CPU tensor in memory that workers of this machine can see.

    To send it to a worker of the ``shm`` backend, or from there, copies nothing: the other side reads and
    writes the very same memory, also after the call, for as long as it keeps the tensor. So write to it
    only when nobody reads. On other backends, where shared memory is not available, or below 64 KiB it is
    sent like any other.

    Args:
        shape: its dimensions; a number alone is a vector's length.
        dtype: by default torch's default dtype.
        requires_grad: whether autograd records what is done with it.

    Raises:
        ValueError: a dimension is negative.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = dtype or torch.get_default_dtype()
    if any(n < 0 for n in shape):
        raise ValueError(f"a tensor of shape {shape} cannot be: a dimension is negative")
    size = prod(shape) * dtype.itemsize
    buffer = heap().allocate(size) if size else None
    if buffer is None:
        return torch.empty(shape, dtype=dtype, requires_grad=requires_grad)
    return torch.frombuffer(buffer, dtype=dtype).resize_(shape).requires_grad_(requires_grad)
