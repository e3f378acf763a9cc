"""Tensors that are in shared memory from the beginning: to send one copies nothing."""

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
from remotemod.backends.shm.memory import PAGE, Deaths, Shared

__all__ = ["Heap", "empty", "heap"]


class Heap:
    """This process's shared memory for tensors that its user makes.

    A place is free again when neither this process nor any that it was sent to has a tensor there.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        # As much as there is memory at all; only what is written takes any.
        self.shared = Shared(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        self._extents: FreeList | None = None
        self._starts: list[int] = []
        self._holders: dict[int, int] = {}
        self._deaths = Deaths()
        self._released: deque[int] = deque()
        self._lock = threading.Lock()

    def make(self, size: int) -> memoryview | None:
        """A buffer of ``size`` bytes; None where there is no room."""
        with self._lock:
            if self._extents is None:
                self.shared.map()
                self._extents = FreeList(self.shared.size, PAGE)
            self._collect(self._extents)
            place = self._extents.take(size)
            if place is None:
                return None
            insort(self._starts, place)
            self._holders[place] = 1
        buffer = self.shared.buffer[place : place + size]
        self._deaths.watch(buffer, place)
        return buffer

    def lend(self, address: int) -> int | None:
        """Where a tensor's bytes are in this memory, which a receiver holds from now on; None elsewhere."""
        place = address - self.shared.address
        if not self.shared.address or not 0 <= place < self.shared.size:
            return None
        with self._lock:
            self._holders[self._start(place)] += 1
        return place

    def release(self, place: int) -> None:
        """A holder less."""
        self._released.append(place)

    def _collect(self, extents: FreeList) -> None:
        self._released.extend(self._deaths.collect())
        while self._released:
            start = self._start(self._released.popleft())
            self._holders[start] -= 1
            if not self._holders[start]:
                del self._holders[start]
                self._starts.remove(start)
                self.shared.give_back(start, start + extents.taken[start])
                extents.free(start)

    def _start(self, place: int) -> int:
        return self._starts[bisect_right(self._starts, place) - 1]


_HEAPS: list[Heap] = []
_LOCK = threading.Lock()


def heap() -> Heap:
    """This process's heap; a forked process gets one of its own."""
    with _LOCK:
        if not _HEAPS or _HEAPS[0].pid != os.getpid():
            _HEAPS[:] = [Heap()]
        return _HEAPS[0]


def empty(
    shape: int | Sequence[int], dtype: torch.dtype | None = None, *, requires_grad: bool = False
) -> Tensor:
    """An uninitialized CPU tensor in memory that workers of this machine can see.

    To send it to a worker of the ``shm`` backend, or from there, copies nothing: the other side reads and
    writes the very same memory, also after the call, for as long as it keeps the tensor. So write to it
    only when nobody reads. On other backends, where shared memory is not to be had, or below 64 KiB it is
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
    buffer = heap().make(size) if size else None
    if buffer is None:
        return torch.empty(shape, dtype=dtype, requires_grad=requires_grad)
    return torch.frombuffer(buffer, dtype=dtype).resize_(shape).requires_grad_(requires_grad)
