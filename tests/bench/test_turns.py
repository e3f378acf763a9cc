"""Turns: how many calls a block has, whose turn it is, and what comes of a way that fails."""

from __future__ import annotations

from typing import Any

import pytest

from remotemod.bench.callers import CallerFailed, CallerHandle, Failure, OpenWay, open_peers
from remotemod.bench.peers import PEERS
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Pace, take_turns
from tests.isolation import children


class Scripted(CallerHandle):
    """A caller that answers by the book: each call takes ``once`` seconds, the first of a block twice that."""

    def __init__(self, once: float, fails_at: int | None = None) -> None:
        self.once, self.fails_at, self.blocks = once, fails_at, list[int]()

    def ask(self, request: str, *arguments: Any) -> Any:
        if request == "warm":
            return self.once
        self.blocks.append(arguments[-1])
        if self.fails_at == len(self.blocks):
            raise CallerFailed("enough")
        return [self.once * 2] + [self.once] * (arguments[-1] - 1)


def way(name: str, caller: CallerHandle) -> OpenWay:
    return OpenWay(name, caller, frozenset({"call"}))


def test_a_block_is_as_long_as_was_asked() -> None:
    """Quick calls fill the time, slow ones are three; every call counts, and the first is known."""
    quick, slow = Scripted(0.001), Scripted(0.5)
    found = take_turns([way("quick", quick), way("slow", slow)], "call", 4, Pace(5, 5, 0.0))
    assert quick.blocks == [20] * 5
    assert slow.blocks == [3] * 5
    sample = found["quick"]
    assert isinstance(sample, Sample)
    assert (len(sample.values), sample.block, sample.after_pause) == (100, 20, 0.002)
    assert sample.median == 0.001


def test_single_turns_are_one_call_each() -> None:
    """There are more of them instead."""
    caller = Scripted(0.001)
    take_turns([way("way", caller)], "call", 4, Pace(5, 5, 60.0).single())
    assert caller.blocks == [1] * 50


def test_a_way_that_fails_leaves_the_others_alone() -> None:
    """It is a failure with its reason, and is not asked again."""
    good, bad = Scripted(0.001), Scripted(0.001, fails_at=2)
    found = take_turns([way("good", good), way("bad", bad)], "call", 4, Pace(4, 4, 0.0))
    assert isinstance(found["good"], Sample)
    assert found["bad"] == Failure("enough")
    assert len(bad.blocks) == 2


def test_time_ends_the_turns_but_not_the_first_ones() -> None:
    """Slow ways still have their least number of turns."""
    caller = Scripted(1.0)
    take_turns([way("slow", caller)], "call", 4, Pace(9, 2, -1.0))
    assert len(caller.blocks) == 2


@pytest.mark.slow
def test_peers_that_fail_are_results() -> None:
    """One that is not there, one whose calls raise, one that dies: each says why, none leaves a process."""
    bad = {name.lower(): f"tests.bench.peers:{name}" for name in ("Absent", "Refusing", "Dying")}
    before = children()
    with open_peers({"direct": PEERS["direct"], **bad}, ["w0"]) as four:
        assert four.failed == {"absent": Failure("absent is not installed; pip install absent")}
        found = take_turns(four.having("call"), "call", 4, Pace(2, 2, 0.0, fixed=2))
        marks = [each.caller.mark for each in four.ways]
        assert all(len(running(mark)) for mark in marks)
    assert isinstance(found["direct"], Sample)
    assert found["refusing"] == Failure("ValueError: not today")
    assert found["dying"] == Failure("its process ended with status 7: the last words")
    assert children() <= before
    assert not any(running(mark) for mark in marks)


def running(mark: str) -> list[int]:
    from remotemod.bench.callers import marked

    return marked(mark)
