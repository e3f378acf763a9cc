"""Memory that two processes see: a memfd that its writer fills and a reader's tensors lie over.

It is as large as its limit from the beginning and costs nothing until it is written: pages come with the first
use of a place and stay warm for the next.
"""

from __future__ import annotations

import mmap
import os
import socket
import weakref
from collections import deque

import torch

__all__ = ["HAVE_MEMFD", "PAGE", "Deaths", "Mapped", "Shared"]

HAVE_MEMFD = hasattr(os, "memfd_create") and hasattr(socket, "CMSG_LEN")
"""Elsewhere (macOS, Windows) large frames travel inline: slower and as correct."""

PAGE = mmap.PAGESIZE

_REMOVE = getattr(mmap, "MADV_REMOVE", None)


class Shared:
    """A writer's end.

    Args:
        size: bytes; 0 for none.

    Attributes:
        size: bytes there are; 0 where such memory is not to be had.
        fd: the memfd, for the readers; -1 without.
        address: where it is mapped.
        buffer: the memory itself.
    """

    def __init__(self, size: int) -> None:
        self.size = self.address = 0
        self.fd = -1
        self.buffer = memoryview(b"")
        size -= size % PAGE
        if size <= 0 or not HAVE_MEMFD:
            return
        try:
            self.fd = os.memfd_create("remotemod", os.MFD_CLOEXEC)
            os.ftruncate(self.fd, size)
            self._memory = mmap.mmap(self.fd, size)
        except (OSError, ValueError):  # too many files, or no address space for it
            self.close()
            return
        self.buffer = memoryview(self._memory)
        self.address = torch.frombuffer(self._memory, dtype=torch.uint8).data_ptr()
        self.size = size

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
    """A reader's end.

    Args:
        fd: the writer's memfd; it is closed.
        deaths: watches what is laid over the memory.
        offset: the number by which the first place is known.
    """

    def __init__(self, fd: int, deaths: Deaths, offset: int = 0) -> None:
        try:
            self._memory = memoryview(mmap.mmap(fd, os.fstat(fd).st_size))
        finally:
            os.close(fd)
        self._deaths = deaths
        self._offset = offset

    def at(self, place: int, size: int) -> memoryview:
        """The bytes at a place, alive for as long as anything is laid over them.

        Raises:
            ValueError: there are not so many.
        """
        start = place - self._offset
        buffer = self._memory[start : start + size]
        if len(buffer) != size:
            raise ValueError(f"{size} bytes at {start} lie outside of the shared memory")
        self._deaths.watch(buffer, place)
        return buffer
