"""A first-fit allocator of offsets: which blocks of a range of memory are free, in the order of their addresses."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["FreeList"]


class FreeList:
    """Allocates blocks of a range of memory, the lowest that fits first, so that the pages in use are few and warm.

    Neighbouring free blocks are merged. Not safe for threads: its user has a lock, or one thread.

    Args:
        size: bytes of the whole range.
        unit: every block begins at a multiple of this and has a multiple of it as its size.
    """

    def __init__(self, size: int, unit: int) -> None:
        self._unit = unit
        size -= size % unit
        self._starts = [0] if size else []  # of the free blocks, sorted
        self._sizes = {0: size} if size else {}
        self.allocated: dict[int, int] = {}
        """The size of each allocated block, by its offset."""

    def allocate(self, size: int) -> int | None:
        """Returns the offset of a block of ``size`` bytes; None where no free block is large enough."""
        size += -size % self._unit
        fitting = (i for i, start in enumerate(self._starts) if self._sizes[start] >= size)
        index = next(fitting, None)
        if index is None:
            return None
        start = self._starts[index]
        free = self._sizes.pop(start)
        if free == size:
            del self._starts[index]
        else:
            self._starts[index] = start + size
            self._sizes[start + size] = free - size
        self.allocated[start] = size
        return start

    def free(self, start: int) -> None:
        """Frees the block at an offset; does nothing where none begins."""
        size = self.allocated.pop(start, None)
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
    def end(self) -> int:
        """Where the highest allocated block ends."""
        return max((start + size for start, size in self.allocated.items()), default=0)
