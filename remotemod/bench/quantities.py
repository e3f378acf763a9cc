"""Measurements, one function for each quantity."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from remotemod.bench.callers import (
    CallerFailed,
    CallerHandle,
    Failure,
    OpenPeers,
    open_peers,
    usable,
)
from remotemod.bench.peers import load
from remotemod.bench.results import Creation, FanOut, Latency, Launch, Memory, Throughput
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Outcome, Pace, take_turns

__all__ = ["creation", "fan_out", "latency", "launch", "memory", "pss", "throughput"]

Progress = Callable[[str], None]

_SETTLE = 0.5


def latency(opened: OpenPeers, size: int, pace: Pace, progress: Progress) -> Latency:
    """Measure blocking echoes of ``size`` bytes."""
    outcomes = take_turns(opened.having("call"), "call", size, pace, progress)
    floors = {way.name for way in opened.ways if way.caller.peer == "floors"}
    ways = {name: outcome for name, outcome in outcomes.items() if name not in floors}
    return Latency(size, {**ways, **opened.failed}, {name: outcomes[name] for name in floors})


def throughput(opened: OpenPeers, in_flight: int, pace: Pace, progress: Progress) -> Throughput:
    """Measure small echoes, ``in_flight`` at once."""
    outcomes = take_turns(opened.having("submit"), "pipeline", in_flight, pace, progress)
    return Throughput(in_flight, {**outcomes, **opened.failed})


def fan_out(opened: OpenPeers, workers: int, pace: Pace, progress: Progress) -> FanOut:
    """Measure rounds of one small echo a worker."""
    outcomes = take_turns(opened.having("submit"), "fan_out", workers, pace, progress)
    return FanOut(workers, {**outcomes, **opened.failed})


def creation(opened: OpenPeers, at_once: int, pace: Pace, progress: Progress) -> Creation:
    """Measure how long it takes to build modules on a worker, each kept until the end."""
    outcomes = take_turns(opened.having("create"), "create", at_once, pace, progress)
    ways = {
        name: Sample(tuple(value / at_once for value in outcome.values))
        if isinstance(outcome, Sample)
        else outcome
        for name, outcome in outcomes.items()
    }
    return Creation(pace.turns * at_once, at_once, {**ways, **opened.failed})


def launch(
    peers: Mapping[str, str], workers: int, rounds: int, seconds: float, progress: Progress
) -> Launch:
    """Measure launches, each in a new process; the peers take turns.

    Args:
        peers: their names and where they are implemented; those that start no processes are left out.
        workers: how many are launched.
        rounds: how often, if time allows.
        seconds: after this time no further round begins.
        progress: told before each launch.
    """
    names = [f"w{i}" for i in range(workers)]
    failed, able = _launching(peers)
    cold: dict[str, list[float]] = {name: [] for name in able}
    warm: dict[str, list[float]] = {name: [] for name in able if load(peers[name]).relaunches}
    shuffle, order, begun = random.Random(0).shuffle, list(able), time.monotonic()
    for turn in range(rounds):
        if turn and time.monotonic() - begun > seconds:
            break
        shuffle(order)
        for name in [name for name in order if name not in failed]:
            progress(f"{name}, round {turn + 1} of at most {rounds}")
            caller = CallerHandle(name, peers[name])
            try:
                caller.wait_until_ready()
                cold[name].append(caller.ask("open", names))
                if name in warm:
                    warm[name].append(caller.ask("reopen", names))
            except CallerFailed as error:
                failed[name] = Failure(str(error))
            finally:
                caller.stop()
    return Launch(workers, _outcomes(cold, failed), _outcomes(warm, {}))


def memory(peers: Mapping[str, str], workers: int, progress: Progress) -> Memory:
    """Weigh workers that have answered one call each, one peer at a time."""
    names = [f"w{i}" for i in range(workers)]
    failed, able = _launching(peers)
    sizes: dict[str, list[float]] = {name: [] for name in able}
    for name in able:
        progress(name)
        with open_peers({name: peers[name]}, names) as alone:
            failed.update(alone.failed)
            if name in alone.failed:
                continue
            caller = alone.ways[0].caller
            try:
                caller.ask("call_each")
                pids = caller.ask("pids")
                time.sleep(_SETTLE)
                sizes[name] = [float(pss(pid)) for pid in pids.values()]
            except (CallerFailed, OSError) as error:
                failed[name] = Failure(str(error))
    return Memory(workers, _outcomes(sizes, failed))


def pss(pid: int) -> int:
    """The proportional set size of a process: its own pages and its part of those that it shares.

    Returns:
        Bytes, as Linux sums them up in ``smaps_rollup``.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    if match is None:
        raise OSError(f"/proc/{pid}/smaps_rollup has no Pss")
    return int(match[1]) * 1024


def _launching(peers: Mapping[str, str]) -> tuple[dict[str, Failure], list[str]]:
    """Why some peers cannot run here, and the names of those that can and start processes."""
    able, failed = usable(peers)
    return failed, [name for name, spec in able.items() if load(spec).launches]


def _outcomes(
    values: Mapping[str, Sequence[float]], failed: Mapping[str, Failure]
) -> Mapping[str, Outcome]:
    measured = {name: Sample(tuple(sample)) for name, sample in values.items() if sample}
    return {**measured, **failed}
