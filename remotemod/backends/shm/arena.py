"""A sender's arena: the shared memory into which the large frames of one direction of a connection are copied."""

from __future__ import annotations

from collections import deque

from remotemod.backends.shm.free_list import FreeList
from remotemod.backends.shm.memory import PAGE, OwnMemory, copy_bytes

__all__ = ["DEFAULT_LIMIT", "Arena"]

DEFAULT_LIMIT = 1 << 30
"""Bytes for one direction of one connection; frames that find no room travel inline."""

_WINDOW = 256
"""Messages after which pages that none of them needed go back to the system."""


class Arena:
    """Blocks for frames: allocated for a message, freed when the receiver's tensors over them are gone.

    :meth:`free` may be called from any thread, everything else by one at a time.

    Args:
        limit: bytes that the blocks can have together; 0 for no arena.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.memory = OwnMemory(limit)
        self.memory.map()
        self._free_list = FreeList(self.memory.size, PAGE)
        self._freed: deque[int] = deque()
        self._messages = self._peak = 0
        self.committed = 0
        """Where the part ends of which the system may have pages."""

    @property
    def in_use(self) -> int:
        """Bytes that the receiver's tensors hold."""
        self._collect()
        return sum(self._free_list.allocated.values())

    def write(self, address: int, size: int) -> int | None:
        """Copies bytes to a block of their own and returns its offset; None where there is no room."""
        if self._freed:
            self._collect()
        offset = self._free_list.allocate(size)
        if offset is None:
            return None
        self._peak = max(self._peak, offset + size)
        self.committed = max(self.committed, self._peak)
        try:
            copy_bytes(self.memory.address + offset, address, size)
        except BaseException:  # Ctrl-C
            self._free_list.free(offset)
            raise
        return offset

    def free(self, offset: int) -> None:
        """Frees a block: the receiver has no tensor there any more."""
        self._freed.append(offset)

    def _collect(self) -> None:
        while self._freed:
            self._free_list.free(self._freed.popleft())

    def count_message(self) -> None:
        """Counts a message; after a number of them returns the pages that none needed to the system."""
        self._messages += 1
        if self._messages < _WINDOW:
            return
        self._messages = 0
        self._collect()
        allocated = self._free_list.end
        needed = -(-max(allocated, self._peak) // PAGE) * PAGE
        self._peak = allocated
        if self.committed > needed:
            self.memory.release_pages(needed, self.committed)
            self.committed = needed
