"""Memory that two processes see: a memfd that its writer fills and a reader's tensors lie over.

It is as large as its limit from the beginning and costs nothing until it is written: pages come with the first
use of a place and stay warm for the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import socket
import threading
import weakref
from collections import deque

import torch

__all__ = ["HAVE_MEMFD", "PAGE", "Deaths", "Mapped", "Shared", "copy"]

HAVE_MEMFD = hasattr(os, "memfd_create") and hasattr(socket, "CMSG_LEN")
"""Elsewhere (macOS, Windows) large frames travel inline: slower and as correct."""

PAGE = mmap.PAGESIZE

_VERY_MANY = 1 << 24
"""Bytes from which on a second thread copies faster than it takes to start: 16 MiB took 0.97 ms instead of 1.38,
64 MiB 4.9 instead of 6.9."""

_REMOVE = getattr(mmap, "MADV_REMOVE", None)


def copy(to: int, source: int, size: int) -> None:
    """Copies bytes between two addresses; very many of them with two threads.

    Not Tensor.copy_: torch would wake its thread pool, which costs milliseconds on a busy machine.
    """
    if size < _VERY_MANY:
        ctypes.memmove(to, source, size)
        return
    half = size // 2
    other = threading.Thread(target=ctypes.memmove, args=(to + half, source + half, size - half))
    other.start()
    try:
        ctypes.memmove(to, source, half)
    finally:
        other.join()


class Shared:
    """A writer's end; mapped when it is first needed.

    Args:
        size: bytes, or as many as there can be; 0 for none.

    Attributes:
        size: bytes there are; 0 where such memory is not to be had.
        fd: the memfd, for the readers; -1 without.
        address: where it is mapped; 0 before.
        buffer: the memory itself.
    """

    def __init__(self, size: int) -> None:
        self.size = self.address = 0
        self.fd = -1
        self.buffer = memoryview(b"")
        size -= size % PAGE
        if size > 0 and HAVE_MEMFD:
            with contextlib.suppress(OSError):  # too many files
                self.fd = os.memfd_create("remotemod", os.MFD_CLOEXEC)
                os.ftruncate(self.fd, size)
                self.size = size

    def map(self) -> None:
        """Maps the memory; less of it where there is a bound on address space."""
        while self.size and not self.address:
            try:
                self._memory = mmap.mmap(self.fd, self.size)
            except (OSError, ValueError):
                self.size = self.size // 2 // PAGE * PAGE
                os.ftruncate(self.fd, self.size)
                continue
            self.buffer = memoryview(self._memory)
            self.address = torch.frombuffer(self._memory, dtype=torch.uint8).data_ptr()

    def give_back(self, start: int, end: int) -> None:
        """Returns the pages between two places to the system; they read as zeros afterwards."""
        if _REMOVE is not None and end > start:
            self._memory.madvise(_REMOVE, start, end - start)

    def close(self) -> None:
        """Closes the descriptor; the memory goes when nobody has it mapped any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Deaths:
    """Tells which places nothing lies over any more.

    What runs when a buffer dies is no Python code: that would swallow a Ctrl-C, and may run in any thread, in
    the middle of anything.
    """

    def __init__(self) -> None:
        self._alive: set[_Watch] = set()
        self.dead: deque[_Watch] = deque()

    def watch(self, buffer: memoryview, place: int) -> None:
        """Has ``place`` collected once nothing refers to ``buffer`` any more."""
        watch = _Watch(buffer, self.dead.append)
        watch.place = place
        self._alive.add(watch)

    def collect(self) -> list[int]:
        """The places whose buffers have died since the last time. One thread at a time."""
        places = []
        while self.dead:
            watch = self.dead.popleft()
            self._alive.discard(watch)
            places.append(watch.place)
        return places


class _Watch(weakref.ref[memoryview]):
    __slots__ = ("place",)
    place: int

    # A view of writable memory has no hash, and then a reference to it has none either.
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Mapped:
    """A reader's end; mapped when it is first needed, which closes the descriptor.

    Args:
        fd: the writer's memfd.
        deaths: watches what is laid over the memory.
        offset: the number by which the first place is known.
    """

    def __init__(self, fd: int, deaths: Deaths, offset: int = 0) -> None:
        self._fd = fd
        self._memory = memoryview(b"")
        self._deaths = deaths
        self._offset = offset

    def map(self) -> None:
        """Maps the memory.

        Raises:
            OSError: this process may not have so much address space.
        """
        if self._fd >= 0:
            self._memory = memoryview(mmap.mmap(self._fd, os.fstat(self._fd).st_size))
            self.close()

    def at(self, place: int, size: int) -> memoryview:
        """The bytes at a place, alive for as long as anything is laid over them.

        Raises:
            OSError: this process may not have so much address space.
            ValueError: there are not so many bytes.
        """
        self.map()
        start = place - self._offset
        buffer = self._memory[start : start + size]
        if len(buffer) != size:
            raise ValueError(f"{size} bytes at {start} lie outside of the shared memory")
        self._deaths.watch(buffer, place)
        return buffer

    def close(self) -> None:
        """Closes the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
