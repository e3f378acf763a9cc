"""Times several ways to do the same thing in turn, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import torch


@dataclass(frozen=True)
class Sample:
    """The times of one way, in seconds."""

    times: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        return sorted(self.times)[min(len(self.times) - 1, int(len(self.times) * 0.99))]


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


def machine() -> str:
    """What the figures were taken on."""
    import os

    return (
        f"{date.today().isoformat()}, {os.cpu_count()} cores, {platform.machine()} Linux "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}, torch {torch.__version__}"
    )


def human(size: int) -> str:
    """A size in bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"
