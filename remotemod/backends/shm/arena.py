"""A sender's arena: where the large frames of one direction of one connection are written."""

from __future__ import annotations

from collections import deque

from remotemod.backends.shm.free_list import FreeList
from remotemod.backends.shm.memory import PAGE, Shared, copy

__all__ = ["DEFAULT_LIMIT", "Arena"]

DEFAULT_LIMIT = 1 << 30
"""Bytes of one direction of one connection; what finds no place travels inline."""

_WINDOW = 256


class Arena:
    """Places for frames: taken for a message, free again when the receiver's tensors have died.

    :meth:`free` may be called from any thread, everything else by one at a time.

    Args:
        limit: bytes that the places can have together; 0 for no arena.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.shared = Shared(limit)
        self.shared.map()
        self._extents = FreeList(self.shared.size, PAGE)
        self._returned: deque[int] = deque()
        self._messages = self._peak = 0
        self.committed = 0
        """Bytes from the beginning on of which the system may have pages."""

    @property
    def in_use(self) -> int:
        """Bytes that the receiver's tensors hold."""
        self._collect()
        return sum(self._extents.taken.values())

    def write(self, address: int, size: int) -> int | None:
        """Copies bytes to a place of their own; None where there is no room for them."""
        if self._returned:
            self._collect()
        place = self._extents.take(size)
        if place is None:
            return None
        self._peak = max(self._peak, place + size)
        self.committed = max(self.committed, self._peak)
        try:
            copy(self.shared.address + place, address, size)
        except BaseException:  # Ctrl-C
            self._extents.free(place)
            raise
        return place

    def free(self, place: int) -> None:
        """The receiver has no tensor at this place any more."""
        self._returned.append(place)

    def _collect(self) -> None:
        while self._returned:
            self._extents.free(self._returned.popleft())

    def age(self) -> None:
        """Counts a message; now and then gives back the pages that the last ones did not need."""
        self._messages += 1
        if self._messages < _WINDOW:
            return
        self._messages = 0
        self._collect()
        taken = self._extents.top
        needed = -(-max(taken, self._peak) // PAGE) * PAGE
        self._peak = taken
        if self.committed > needed:
            self.shared.give_back(needed, self.committed)
            self.committed = needed
