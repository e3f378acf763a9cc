"""What is measured of one way: the values, and what is said of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """What was measured of one way.

    Args:
        values: every measured value, in seconds (bytes where memory is weighed).
        firsts: those that began a block, after a pause of the way; they are among ``values`` too.
        block: calls in a block.
    """

    values: tuple[float, ...]
    firsts: tuple[float, ...] = ()
    block: int = 1

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The value that one in a hundred exceeds; of fewer than a hundred values the greatest."""
        return sorted(self.values)[min(len(self.values) - 1, int(len(self.values) * 0.99))]

    @property
    def after_pause(self) -> float | None:
        """The median of the calls that began a block; None where there were no blocks."""
        return statistics.median(self.firsts) if self.firsts else None
