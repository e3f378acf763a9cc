"""A whole run: measured by ``measure``, and as JSON."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from remotemod.bench import quantities
from remotemod.bench.callers import Failure, open_peers
from remotemod.bench.options import Options
from remotemod.bench.peers import FLOORS
from remotemod.bench.results import Creation, FanOut, Latency, Launch, Memory, Throughput
from remotemod.bench.turns import Outcome, Pace
from remotemod.bench.wording import human, version
from remotemod.version import VERSION

__all__ = ["Report", "as_dict", "measure"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Report:
    """What a run found; None where a quantity was not asked for.

    Args:
        options: what was asked for.
        date: when it began, in UTC.
    """

    options: Options
    date: str
    latency: tuple[Latency, ...] = ()
    throughput: Throughput | None = None
    fanout: FanOut | None = None
    creation: Creation | None = None
    launch: Launch | None = None
    memory: Memory | None = None

    @property
    def measured_nothing(self) -> bool:
        """Whether there is no figure at all."""
        tables = [row.ways for row in self.latency]
        tables += [q.ways for q in (self.throughput, self.fanout, self.creation, self.memory) if q]
        tables += [self.launch.cold] if self.launch else []
        return all(isinstance(o, Failure) for table in tables for o in table.values())


def measure(options: Options, progress: Progress | None = None) -> Report:
    """Measure what the options ask for; a peer that fails is a result and ends nothing.

    Args:
        options: what to measure, and against whom.
        progress: told (quantities done, quantities in all, what is being measured).
    """
    peers = options.peers
    steps = _Steps(options, progress)
    report = Report(options, datetime.now(timezone.utc).isoformat(timespec="seconds"))
    wanted, found = set(options.only), dict[str, Any]()
    if wanted & {"latency", "throughput", "fanout", "creation"}:
        floors = {FLOORS: options.known[FLOORS]} if "latency" in wanted else {}
        count = options.called_at_once if "fanout" in wanted else 1
        steps.begin("starting workers", counts=False)
        with open_peers({**peers, **floors}, [f"w{i}" for i in range(count)]) as opened:
            if "latency" in wanted:
                found["latency"] = tuple(
                    quantities.latency(opened, n, options.pace, steps.begin(f"latency, {human(n)}"))
                    for n in options.all_sizes
                )
            if "throughput" in wanted:
                tell = steps.begin("pipelined calls")
                found["throughput"] = quantities.throughput(
                    opened, options.in_flight, options.pipeline_pace, tell
                )
            if "fanout" in wanted:
                tell = steps.begin("fan-out")
                found["fanout"] = quantities.fan_out(opened, count, options.pace, tell)
            if "creation" in wanted:
                tell = steps.begin("creating modules")
                found["creation"] = quantities.creation(
                    opened, options.created_at_once, options.creation_pace, tell
                )
    if "launch" in wanted:
        tell = steps.begin(f"launching {options.launched} workers")
        found["launch"] = quantities.launch(peers, options.launched, *options.launch_rounds, tell)
    if "memory" in wanted:
        tell = steps.begin("weighing workers")
        found["memory"] = quantities.memory(peers, options.called_at_once, tell)
    return dataclasses.replace(report, **found)


class _Steps:
    """Progress: how much has been measured, and of how much."""

    def __init__(self, options: Options, progress: Progress | None) -> None:
        self._total = len(options.only)
        if "latency" in options.only:
            self._total += len(options.all_sizes) - 1
        self._begun = 0
        self._progress = progress

    def begin(self, what: str, counts: bool = True) -> Callable[[str], None]:
        """Report what is measured now; return the function that reports how far that is."""
        self._begun += counts
        done = max(0, self._begun - 1)

        def tell(detail: str) -> None:
            if self._progress is not None:
                self._progress(done, self._total, f"{what}: {detail}" if detail else what)

        tell("")
        return tell


def as_dict(report: Report, distributions: Sequence[str] = ("torch", "numpy")) -> dict[str, Any]:
    """The run as JSON can say it; times are in seconds, memory and sizes in bytes.

    Args:
        report: the run.
        distributions: those whose versions stand beside the figures.
    """
    options = report.options
    found: dict[str, Any] = {
        "date": report.date,
        "machine": {
            "cores": os.cpu_count(),
            "architecture": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {
            "remotemod": VERSION,
            "python": sys.version.split()[0],
            **version(distributions),
        },
        "method": {
            "turns": options.turns,
            "quick": options.quick,
            "pace": _pace(options.pace),
            "pipeline_pace": _pace(options.pipeline_pace),
            "creation_pace": _pace(options.creation_pace),
        },
    }
    if report.latency:
        found["latency"] = [
            {"bytes": row.size, "ways": _ways(row.ways), "floors": _ways(row.floors)}
            for row in report.latency
        ]
    if (calls := report.throughput) is not None:
        found["throughput"] = {"in_flight": calls.in_flight, "ways": _ways(calls.ways)}
    if (rounds := report.fanout) is not None:
        found["fanout"] = {"workers": rounds.workers, "ways": _ways(rounds.ways)}
    if (made := report.creation) is not None:
        found["creation"] = {
            "modules": made.modules,
            "at_once": made.at_once,
            "ways": _ways(made.ways),
        }
    if (start := report.launch) is not None:
        cold, warm = _ways(start.cold), _ways(start.warm)
        found["launch"] = {"workers": start.workers, "cold": cold, "warm": warm}
    if (weight := report.memory) is not None:
        found["memory"] = {"workers": weight.workers, "ways": _ways(weight.ways)}
    return found


def _pace(pace: Pace) -> dict[str, Any]:
    return dataclasses.asdict(pace)


def _ways(ways: Mapping[str, Outcome]) -> dict[str, Any]:
    return {name: _outcome(outcome) for name, outcome in ways.items()}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        return {"failed": outcome.why}
    found: dict[str, Any] = {
        "median": outcome.median,
        "p99": outcome.p99,
        "least": min(outcome.values),
        "count": len(outcome.values),
    }
    if outcome.after_pause is not None:
        found |= {"after_pause": outcome.after_pause, "calls_per_block": outcome.block}
    return found
