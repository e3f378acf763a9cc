"""Everything that `remotemod bench` measures, as the tables of RESULTS.md, with our targets held against it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remotemod.bench.callers import Failure
from remotemod.bench.options import QUANTITIES, Options, names_in
from remotemod.bench.peers import CHOICES
from remotemod.bench.plot import draw
from remotemod.bench.report import Report, as_dict, measure
from remotemod.bench.results import Latency
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Outcome
from remotemod.bench.wording import duration, human, machine
from remotemod.cli.output import progress_bar

KIB, MIB = 1 << 10, 1 << 20
SIZES = (4, 4 * KIB, 256 * KIB, 4 * MIB, 64 * MIB)
OURS, SCRIPTED = "remotemod", "remotemod scripted"


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
    """What we promised ourselves, and what came of it."""
    rows = {row.size: row for row in report.latency}
    empty: Mapping[str, Outcome] = {}

    def ways(size: int) -> Mapping[str, Outcome]:
        row = rows.get(size)
        return {**row.ways, **row.floors} if row else empty

    def over_copies(size: int) -> float | None:
        found = ratio(ways(size), OURS, "memcpy")
        return None if found is None else found / 2

    calls = report.throughput.ways if report.throughput else empty
    cold = report.launch.cold if report.launch else empty
    made = report.creation.ways if report.creation else empty
    here, direct = ways(4).get("inproc"), ways(4).get("direct")
    more = None
    if isinstance(here, Sample) and isinstance(direct, Sample):
        more = (here.median - direct.median) * 1e6
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
        Target(f"creation of {count:,} modules / torch's", ratio(made, OURS, "torch"), 1),
        Target("inproc call − direct call", more, 10, unit=" µs"),
    ]


# --- Markdown ---------------------------------------------------------------------------------


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table."""
    print("\n| " + " | ".join(headings) + " |")
    print("|" + "---|" * len(headings))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def latency_table(found: Sequence[Latency]) -> None:
    """Ways by sizes, with the floors; then each way over ours."""
    names = list(dict.fromkeys(name for row in found for name in [*row.ways, *row.floors]))
    tables = [{**row.ways, **row.floors} for row in found]
    headings = ["way", *(human(row.size) for row in found)]
    print("\nEcho, median (p99):")
    print_table(headings, [[n, *(spread(t.get(n)) for t in tables)] for n in names])
    print(f"\nMedian / median of {OURS}:")
    ratios = [[n, *(number(ratio(t, n, OURS)) for t in tables)] for n in names if n != OURS]
    print_table(headings, ratios)
    print("\nMedian of the first call of each block, after a pause:")
    print_table(headings, [[n, *(paused(t.get(n)) for t in tables)] for n in names])


def simple_table(
    title: str, ways: Mapping[str, Outcome], show: Callable[[Outcome | None], str]
) -> None:
    """A way a row."""
    print(f"\n{title}:")
    rows = [[name, show(found), number(ratio(ways, name, OURS))] for name, found in ways.items()]
    print_table(["way", "", f"/ {OURS}"], rows)


def spread(found: Outcome | None) -> str:
    """A median and a 99th percentile."""
    if isinstance(found, Failure):
        return f"failed: {found.why}"
    return f"{duration(found.median)} ({duration(found.p99)})" if found else ""


def paused(found: Outcome | None) -> str:
    """The median after a pause."""
    after = found.after_pause if isinstance(found, Sample) else None
    return "" if after is None else duration(after)


def weight(found: Outcome | None) -> str:
    """A median in MiB."""
    return f"{found.median / MIB:.1f} MiB" if isinstance(found, Sample) else spread(found)


def number(figure: float | None, unit: str = "") -> str:
    """Three digits."""
    if figure is None:
        return ""
    digits = 1 if figure >= 9.95 else 2 if figure >= 0.995 else 3
    return f"{figure:,.{digits}f}{unit}"


def print_report(report: Report) -> None:
    """All tables, the targets last."""
    print(f"{machine()}; turns of {report.options.turns}")
    if report.latency:
        latency_table(report.latency)
    if (calls := report.throughput) is not None:
        count = calls.in_flight

        def rate(found: Outcome | None) -> str:
            return f"{count / found.median:,.0f}/s" if isinstance(found, Sample) else spread(found)

        simple_table(
            f"Pipelined echoes of 4 B, {count} at once (the ratio is of times)", calls.ways, rate
        )
    if (rounds := report.fanout) is not None:
        simple_table(f"One echo of each of {rounds.workers} workers at once", rounds.ways, spread)
    if (made := report.creation) is not None:
        title = f"Creating {made.modules:,} small modules, {made.at_once} in a row, each"
        simple_table(title, made.ways, spread)
    if (start := report.launch) is not None:
        simple_table(f"Launching {start.workers} workers", start.cold, spread)
        simple_table(f"{start.workers} more while those are there", start.warm, spread)
    if (weighed := report.memory) is not None:
        simple_table(f"Memory of each of {weighed.workers} idle workers", weighed.ways, weight)
    print("\nTargets:")
    rows = [
        [
            target.what,
            number(target.figure, target.unit),
            f"{'≥' if target.at_least else '≤'} {number(target.bound, target.unit)}",
            target.verdict,
        ]
        for target in targets(report)
    ]
    print_table(["", "measured", "target", ""], rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints tables, and writes the figures and the plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(QUANTITIES), help="quantities, with commas")
    parser.add_argument("--against", help="peers, with commas; by default all that are installed")
    parser.add_argument("--turns", choices=("blocks", "single"), default="blocks")
    parser.add_argument("--quick", action="store_true", help="measure less")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--plot", type=Path, help="draw latency by bytes here")
    given = parser.parse_args(argv)
    against = None if given.against is None else names_in(given.against, CHOICES)
    only = names_in(given.only, QUANTITIES)
    options = Options(only, against, SIZES, quick=given.quick, turns=given.turns)
    with progress_bar() as progress:
        report = measure(options, progress)
    print_report(report)
    if given.json:
        given.json.write_text(json.dumps(as_dict(report), indent=2) + "\n")
    if given.plot:
        draw(report.latency, given.plot, machine())


if __name__ == "__main__":
    main()
