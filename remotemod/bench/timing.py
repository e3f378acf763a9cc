"""Samples of times, and the turns of ways that share one process."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Sample", "interleaved"]


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


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Sample]:
    """Runs every way once a round, each round in another order: what one leaves behind, the next pays for.

    The first rounds warm up and do not count.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways.items())
    shuffle = random.Random(0).shuffle
    for turn in range(-3, rounds):
        shuffle(order)
        for name, way in order:
            start = time.perf_counter()
            way()
            spent = time.perf_counter() - start
            if turn >= 0:
                times[name].append(spent)
    return {name: Sample(tuple(found)) for name, found in times.items()}
