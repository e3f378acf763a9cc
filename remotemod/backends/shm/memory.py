"""Memory that two processes see: slots that a sender writes and a receiver's tensors read in place."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["ALIGN", "HAVE_MEMFD", "LIMIT", "Slot", "SlotMap", "SlotPool", "bytes_of", "round_up"]

ALIGN = 64
"""Bytes: every frame begins at a multiple, which suits any dtype and any vector unit."""

HAVE_MEMFD = hasattr(os, "memfd_create") and hasattr(socket, "CMSG_LEN")
"""Elsewhere (macOS, Windows) large frames travel inline: slower and as correct."""

LIMIT = 1 << 30
"""Bytes that one direction of one connection may hold in slots; beyond it frames travel inline."""

_SMALLEST = 1 << 20


def round_up(size: int) -> int:
    """``size`` up to the next multiple of ``ALIGN``."""
    return size + (-size % ALIGN)


def bytes_of(frame: Tensor) -> memoryview:
    """The memory of a flat uint8 tensor; the caller keeps the tensor alive."""
    size = frame.numel()
    return memoryview((ctypes.c_ubyte * size).from_address(frame.data_ptr())).cast("B")


class Slot:
    """A memfd that the sender has mapped. Its pages are written many times but faulted in once."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.fd = os.memfd_create("remotemod", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, size)
        self._memory = mmap.mmap(self.fd, size)
        self._address = torch.frombuffer(self._memory, dtype=torch.uint8).data_ptr()
        self.sent = False

    def write(self, frames: Sequence[tuple[int, Tensor]]) -> None:
        """Copies frames to their offsets."""
        for offset, frame in frames:
            # Not Tensor.copy_: torch would wake its thread pool, which costs milliseconds on a busy machine.
            ctypes.memmove(self._address + offset, frame.data_ptr(), frame.numel())

    def close(self) -> None:
        """Gives the memory back once the receiver has unmapped it too."""
        os.close(self.fd)


class SlotPool:
    """A sender's slots: taken for a message, free again when the receiver's tensors have died.

    Args:
        limit: bytes that all slots together may have.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._slots: dict[int, Slot] = {}
        self._free: dict[int, list[Slot]] = {}
        self._total = 0
        self._numbers = 0

    def take(self, size: int, drop: Callable[[int], None]) -> Slot | None:
        """A slot of at least ``size`` bytes; None where the limit leaves no room for one.

        Args:
            size: bytes.
            drop: told the number of each free slot that is given up to make room.
        """
        if not HAVE_MEMFD:
            return None
        capacity = max(_SMALLEST, 1 << (size - 1).bit_length())
        free = self._free.get(capacity)
        if free:
            return free.pop()
        if capacity > self._limit:
            return None
        while self._total + capacity > self._limit:
            if not self._give_up(drop):
                return None
        self._numbers += 1
        slot = self._slots[self._numbers] = Slot(self._numbers, capacity)
        self._total += capacity
        return slot

    def free(self, number: int) -> None:
        """The receiver has no tensor in this slot any more."""
        slot = self._slots.get(number)
        if slot is not None:
            self._free.setdefault(slot.size, []).append(slot)

    def _give_up(self, drop: Callable[[int], None]) -> bool:
        sizes = [size for size, slots in self._free.items() if slots]
        if not sizes:
            return False
        slot = self._free[max(sizes)].pop()
        del self._slots[slot.number]
        self._total -= slot.size
        slot.close()
        drop(slot.number)
        return True

    def close(self) -> None:
        """Closes all slots; what the receiver has mapped stays mapped there."""
        for slot in self._slots.values():
            slot.close()
        self._slots.clear()
        self._free.clear()


class SlotMap:
    """A receiver's view of the sender's slots."""

    def __init__(self) -> None:
        self._memory: dict[int, mmap.mmap] = {}

    def add(self, number: int, fd: int) -> None:
        """Maps a slot that was sent for the first time, and closes the descriptor."""
        try:
            self._memory[number] = mmap.mmap(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def view(
        self, number: int, size: int, free: Callable[[int], object]
    ) -> ctypes.Array[ctypes.c_ubyte]:
        """The first ``size`` bytes of a slot as a buffer for tensors.

        Args:
            number: the slot; KeyError where it was never sent.
            size: bytes.
            free: called with the number when the last tensor that was made of the buffer has died.
        """
        buffer = (ctypes.c_ubyte * size).from_buffer(self._memory[number])
        weakref.finalize(buffer, free, number).atexit = False
        return buffer

    def drop(self, number: int) -> None:
        """Forgets a slot that the sender gave up."""
        self._memory.pop(number, None)
