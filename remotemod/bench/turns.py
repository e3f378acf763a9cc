"""Measure ways in turns: short blocks of calls in shuffled order, so that noise meets all of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from remotemod.bench.callers import CallerFailed, Failure, OpenWay
from remotemod.bench.timing import Sample

__all__ = ["Outcome", "Pace", "Turns", "take_turns"]

Turns = Literal["blocks", "single"]
Outcome = Sample | Failure

_MOST_CALLS = 5000


@dataclass(frozen=True)
class Pace:
    """How long ways take turns, and what a turn is.

    A turn is a block of calls back to back. That is what a caller in a loop meets. A turn of a single call
    between calls of other processes finds everything asleep and its caches cold; it mostly measures how the
    system wakes processes.

    Args:
        turns: how many there are, if time allows.
        least: how many there are in any case.
        seconds: after this time no turn beyond ``least`` begins.
        block: the seconds that a block is meant to take.
        calls: how many calls a block has at least.
        fixed: how many calls a block has, where that is not left to the time they take.
    """

    turns: int
    least: int
    seconds: float
    block: float = 0.02
    calls: int = 3
    fixed: int | None = None

    def single(self) -> Pace:
        """The same with one call a turn, and more turns."""
        return replace(self, turns=self.turns * 10, least=self.least * 3, fixed=1)


def take_turns(
    ways: Sequence[OpenWay],
    job: str,
    amount: int,
    pace: Pace,
    progress: Callable[[str], None] = lambda text: None,
) -> Mapping[str, Outcome]:
    """Measure one job by every way.

    The number of calls in a block is chosen once for each way, from calls that warm it up and do not
    count. From then on every call counts, the first of a block too.

    Args:
        ways: the open ways.
        job: what a call does; see the jobs of :class:`remotemod.bench.caller.Caller`.
        amount: what the job takes: bytes, calls in flight, workers.
        pace: how many turns, and how long they are.
        progress: told before each turn.

    Returns:
        A sample for each way, or why there is none.
    """
    counts: dict[str, int] = {}
    failed: dict[str, Failure] = {}
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    firsts: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        progress("warming up")
        try:
            once = way.caller.ask("warm", way.name, job, amount)
        except CallerFailed as error:
            failed[way.name] = Failure(str(error))
        else:
            counts[way.name] = pace.fixed or min(
                max(pace.calls, round(pace.block / once)), _MOST_CALLS
            )
    shuffle, order = random.Random(0).shuffle, list(ways)
    begun = time.monotonic()
    for turn in range(pace.turns):
        if turn >= pace.least and time.monotonic() - begun > pace.seconds:
            break
        progress(f"turn {turn + 1} of at most {pace.turns}")
        shuffle(order)
        for way in order:
            name = way.name
            if name in failed:
                continue
            try:
                block = way.caller.ask("block", name, job, amount, counts[name])
            except CallerFailed as error:
                failed[name] = Failure(str(error))
                continue
            times[name] += block
            firsts[name].append(block[0])
    return {
        name: failed.get(name) or Sample(tuple(times[name]), tuple(firsts[name]), counts[name])
        for name in times
    }
