"""Write a run as the tables of RESULTS.md, each way beside ours, the targets last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.calls.targets import ratio, targets
from remotemod.bench.callers import Failure
from remotemod.bench.peers import OURS
from remotemod.bench.report import Report
from remotemod.bench.results import Latency
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Outcome
from remotemod.bench.wording import duration, human, machine

__all__ = ["print_report"]

MIB = 1 << 20


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
