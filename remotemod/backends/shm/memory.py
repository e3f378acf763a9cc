"""Shared memory of two processes: a memfd that its owner writes and over which its peer lays tensors.

A memfd has its full size from the beginning and costs nothing until it is written: the system allocates a page at its
first use, and the page stays warm for the next.
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

__all__ = ["HAVE_MEMFD", "PAGE", "OwnMemory", "PeerMemory", "ReclaimedSlots", "copy_bytes"]

HAVE_MEMFD = hasattr(os, "memfd_create") and hasattr(socket, "CMSG_LEN")
"""Elsewhere (macOS, Windows) large frames travel inline: slower and as correct."""

PAGE = mmap.PAGESIZE

_TWO_THREADS = 1 << 24
"""Bytes from which on a second thread saves more than its start costs: 16 MiB took 0.97 ms instead of 1.38, 64 MiB
4.9 instead of 6.9."""

_REMOVE = getattr(mmap, "MADV_REMOVE", None)


def copy_bytes(to: int, source: int, size: int) -> None:
    """Copies bytes between two addresses, with two threads where there are many.

    Not by Tensor.copy_: torch would wake its thread pool, which costs milliseconds on a busy machine.
    """
    if size < _TWO_THREADS:
        ctypes.memmove(to, source, size)
        return
    half = size // 2
    helper = threading.Thread(target=ctypes.memmove, args=(to + half, source + half, size - half))
    helper.start()
    try:
        ctypes.memmove(to, source, half)
    finally:
        helper.join()


class OwnMemory:
    """A memfd of this process, which its peers map as well; mapped here by :meth:`map`.

    Args:
        size: bytes, or as many as the system allows; 0 for none.

    Attributes:
        size: its bytes; 0 where such memory is not available.
        fd: the memfd, for the peers; -1 without.
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
        """Maps the memory; less of it where address space is limited."""
        while self.size and not self.address:
            try:
                self._mapping = mmap.mmap(self.fd, self.size)
            except (OSError, ValueError):
                self.size = self.size // 2 // PAGE * PAGE
                os.ftruncate(self.fd, self.size)
                continue
            self.buffer = memoryview(self._mapping)
            self.address = torch.frombuffer(self._mapping, dtype=torch.uint8).data_ptr()

    def release_pages(self, start: int, end: int) -> None:
        """Returns the pages between two offsets to the system; they read as zeros afterwards."""
        if _REMOVE is not None and end > start:
            self._mapping.madvise(_REMOVE, start, end - start)

    def close(self) -> None:
        """Closes the descriptor; the memory is freed when no process has it mapped any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ReclaimedSlots:
    """Collects the offsets of shared memory over which no tensor lies any more.

    What runs when a buffer is freed is no Python code: that would swallow a Ctrl-C, and may run in any thread,
    in the middle of anything.

    Attributes:
        pending: the references to freed buffers whose offsets have not been collected; empty if there are none.
    """

    def __init__(self) -> None:
        self._watched: set[_BufferRef] = set()
        self.pending: deque[_BufferRef] = deque()

    def watch(self, buffer: memoryview, offset: int) -> None:
        """Has ``offset`` collected once nothing refers to ``buffer`` any more."""
        ref = _BufferRef(buffer, self.pending.append)
        ref.offset = offset
        self._watched.add(ref)

    def collect(self) -> list[int]:
        """Returns the offsets reclaimed since the last time; to be called by one thread at a time."""
        offsets = []
        while self.pending:
            ref = self.pending.popleft()
            self._watched.discard(ref)
            offsets.append(ref.offset)
        return offsets


class _BufferRef(weakref.ref[memoryview]):
    __slots__ = ("offset",)
    offset: int

    # A view of writable memory has no hash, and then a reference to it has none either.
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class PeerMemory:
    """A peer's memfd; mapped when it is first needed, which closes the descriptor.

    Args:
        fd: the peer's memfd.
        reclaimed: watches the tensors that are laid over it.
        base: what the peer adds to its offsets, so that they name this memory.
    """

    def __init__(self, fd: int, reclaimed: ReclaimedSlots, base: int = 0) -> None:
        self._fd = fd
        self._mapping = memoryview(b"")
        self._reclaimed = reclaimed
        self._base = base

    def map(self) -> None:
        """Maps the memory.

        Raises:
            OSError: the address space of this process is limited, and too small.
        """
        if self._fd >= 0:
            self._mapping = memoryview(mmap.mmap(self._fd, os.fstat(self._fd).st_size))
            self.close()

    def view(self, offset: int, size: int) -> memoryview:
        """Returns the bytes at an offset; they are reclaimed once nothing lies over them.

        Raises:
            OSError: the address space of this process is limited, and too small.
            ValueError: there are not so many bytes.
        """
        self.map()
        start = offset - self._base
        buffer = self._mapping[start : start + size]
        if len(buffer) != size:
            raise ValueError(f"{size} bytes at {start} lie outside of the shared memory")
        self._reclaimed.watch(buffer, offset)
        return buffer

    def close(self) -> None:
        """Closes the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
