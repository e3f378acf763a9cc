"""Which parts of a stretch of memory are taken: first fit from the lowest address, neighbours merged."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["FreeList"]


class FreeList:
    """Hands out places of a stretch of memory. Not safe for threads: its owner has a lock or one thread.

    Low places go first, so that the pages in use are few and warm.

    Args:
        size: bytes of the whole stretch.
        unit: every place begins at a multiple of this and takes up multiples of it.
    """

    def __init__(self, size: int, unit: int) -> None:
        self._unit = unit
        size -= size % unit
        self._starts = [0] if size else []  # of the free extents, in their order
        self._sizes = {0: size} if size else {}
        self.taken: dict[int, int] = {}
        """The bytes of each place that is taken, by where it begins."""

    def take(self, size: int) -> int | None:
        """Where ``size`` bytes are free from now on taken; None where there are none."""
        size += -size % self._unit
        fits = (i for i, start in enumerate(self._starts) if self._sizes[start] >= size)
        index = next(fits, None)
        if index is None:
            return None
        start = self._starts[index]
        free = self._sizes[start]
        del self._sizes[start]
        if free == size:
            del self._starts[index]
        else:
            self._starts[index] = start + size
            self._sizes[start + size] = free - size
        self.taken[start] = size
        return start

    def free(self, start: int) -> None:
        """Takes a place back; nothing where it is none."""
        size = self.taken.pop(start, None)
        if size is None:
            return
        starts, sizes = self._starts, self._sizes
        index = bisect_left(starts, start)
        if index < len(starts) and starts[index] == start + size:
            size += sizes.pop(starts[index])
            del starts[index]
        if index and (before := starts[index - 1]) + sizes[before] == start:
            sizes[before] += size
            return
        starts.insert(index, start)
        sizes[start] = size

    @property
    def top(self) -> int:
        """Where the highest place that is taken ends."""
        return max((start + size for start, size in self.taken.items()), default=0)
