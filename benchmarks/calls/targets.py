"""The targets that a run is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remotemod.bench.peers import OURS
from remotemod.bench.report import Report
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Outcome

__all__ = ["Target", "ratio", "targets"]

MIB = 1 << 20
SCRIPTED = "remotemod scripted"


@dataclass(frozen=True)
class Target:
    """A bound that a figure should keep; the figure is None where something was not measured."""

    what: str
    figure: float | None
    bound: float
    at_least: bool = False
    unit: str = ""

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not measured"
        good = self.figure >= self.bound if self.at_least else self.figure <= self.bound
        return "met" if good else "not met"


def ratio(ways: Mapping[str, Outcome], one: str, other: str) -> float | None:
    """The median of one way over that of another."""
    upper, lower = ways.get(one), ways.get(other)
    if not isinstance(upper, Sample) or not isinstance(lower, Sample):
        return None
    return upper.median / lower.median


def targets(report: Report) -> list[Target]:
    """Each target, with the figure of a run."""
    rows = {row.size: row for row in report.latency}
    empty: Mapping[str, Outcome] = {}

    def ways(size: int) -> Mapping[str, Outcome]:
        row = rows.get(size)
        return {**row.ways, **row.floors} if row else empty

    def over_copies(size: int) -> float | None:
        over_one = ratio(ways(size), OURS, "memcpy")
        return None if over_one is None else over_one / 2

    calls = report.throughput.ways if report.throughput else empty
    cold = report.launch.cold if report.launch else empty
    created = report.creation.ways if report.creation else empty
    inproc, direct = ways(4).get("inproc"), ways(4).get("direct")
    more = None
    if isinstance(inproc, Sample) and isinstance(direct, Sample):
        more = (inproc.median - direct.median) * 1e6
    workers = report.launch.workers if report.launch else 20
    count = report.creation.modules if report.creation else 1000
    return [
        Target("4 B echo / torch's", ratio(ways(4), OURS, "torch"), 1 / 5),
        Target("4 B echo / raw socket ping-pong", ratio(ways(4), OURS, "socket"), 4),
        Target(
            "4 B echo, scripted callers / torch's",
            ratio(ways(4), SCRIPTED, "torch scripted"),
            1 / 4,
        ),
        Target("4 MiB echo / torch's", ratio(ways(4 * MIB), OURS, "torch"), 1 / 4),
        Target("4 MiB echo / two warm copies", over_copies(4 * MIB), 2),
        Target("64 MiB echo / torch's", ratio(ways(64 * MIB), OURS, "torch"), 1 / 6),
        Target("64 MiB echo / two warm copies", over_copies(64 * MIB), 2),
        Target("pipelined calls a second / torch's", ratio(calls, "torch", OURS), 8, at_least=True),
        Target(f"launch of {workers} workers / torch's", ratio(cold, OURS, "torch"), 1 / 10),
        Target(f"creation of {count:,} modules / torch's", ratio(created, OURS, "torch"), 1),
        Target("inproc call − direct call", more, 10, unit=" µs"),
    ]
