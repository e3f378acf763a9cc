"""The bench command: measure, print tables, write JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remotemod.bench.callers import Failure
from remotemod.bench.options import QUANTITIES, Options, names_in, sizes_in, turns_in
from remotemod.bench.peers import OURS, PEERS, choices
from remotemod.bench.report import Report, as_dict, measure
from remotemod.bench.timing import Sample
from remotemod.bench.turns import Outcome
from remotemod.bench.wording import duration, human, machine

from . import output as terminal

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["options_of", "print_report", "run"]

Cells = Callable[[Sample], tuple[str, str, str]]

_WIDEST = 44
"""Characters of the column that may hold the reason of a failure."""


def options_of(
    only: str | None,
    against: str | None,
    sizes: str | None,
    workers: int | None,
    turns: str,
    quick: bool,
) -> Options:
    """The options of a run, from the command's words.

    Raises:
        ValueError: one of them is not known; the message says what is allowed.
    """
    wanted = QUANTITIES if only is None else names_in(only, QUANTITIES)
    return Options(
        only=wanted,
        against=None if against is None else names_in(against, choices(PEERS)),
        sizes=None if sizes is None else sizes_in(sizes),
        workers=workers,
        quick=quick,
        turns=turns_in(turns),
    )


def run(options: Options, json_file: Path | None) -> int:
    """Measure, print, write the file, and return the exit status."""
    if json_file is not None and not json_file.parent.is_dir():
        terminal.error(f"there is no folder {json_file.parent} to write {json_file.name} into")
        return 2
    with terminal.progress_bar() as progress:
        report = measure(options, progress)
    print_report(report)
    try:
        if json_file is not None:
            json_file.write_text(json.dumps(as_dict(report), indent=2) + "\n")
    except OSError as error:
        terminal.error(str(error))
        return 1
    return 1 if report.measured_nothing else 0


def print_report(report: Report) -> None:
    """Print a table for each quantity."""
    console = terminal.stdout()
    console.print(machine(), style="bold", markup=False)

    def show(
        title: str, headings: tuple[str, ...], *parts: tuple[Mapping[str, Outcome], Cells]
    ) -> None:
        table = _table(title, *headings, f"× {OURS}")
        for ways, cells in parts:
            _fill(table, ways, cells)
        console.print(table)

    timed, weighed = ("way", "median", "p99"), ("peer", "median", "greatest")
    for row in report.latency:
        times = _times(row.ways.get(OURS))
        floors = {f"floor: {name}": outcome for name, outcome in row.floors.items()}
        show(f"echo of {human(row.size)}", timed, (row.ways, times), (floors, times))
    if (calls := report.throughput) is not None:
        title = f"pipelined small echoes, {calls.in_flight} at once"
        rates = _rates(calls.ways.get(OURS), calls.in_flight)
        show(title, ("way", "calls/s", "at p99"), (calls.ways, rates))
    if (rounds := report.fanout) is not None:
        title = f"one small echo of each of {rounds.workers} workers at once"
        show(title, timed, (rounds.ways, _times(rounds.ways.get(OURS))))
    if (made := report.creation) is not None:
        title = f"creating {made.modules:,} small modules, each"
        show(title, timed, (made.ways, _times(made.ways.get(OURS))))
    if (start := report.launch) is not None:
        times = _times(start.cold.get(OURS))
        more = {f"{name}, as many more": outcome for name, outcome in start.warm.items()}
        title = f"launching {start.workers} workers, until all have answered"
        show(title, weighed, (start.cold, times), (more, times))
    if (weight := report.memory) is not None:
        title = f"memory of each of {weight.workers} idle workers (proportional set size)"
        show(title, weighed, (weight.ways, _sizes(weight.ways.get(OURS))))


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if index else "left",
            overflow="fold",
            max_width=_WIDEST if index == 1 else None,
        )
    return table


def _fill(table: Table, ways: Mapping[str, Outcome], cells: Cells) -> None:
    """A row for each way, the fastest first; failures come last, with their reasons."""
    good = [(name, o) for name, o in ways.items() if isinstance(o, Sample)]
    for name, sample in sorted(good, key=lambda item: item[1].median):
        table.add_row(_plain(name, "bold" if name == OURS else ""), *cells(sample))
    for name, outcome in ways.items():
        if isinstance(outcome, Failure):
            table.add_row(_plain(name), _plain(f"failed: {outcome.why}", "red"), "", "")


def _plain(text: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(text, style)


def _times(ours: Outcome | None) -> Cells:
    return lambda s: (duration(s.median), duration(s.p99), _ratio(s.median, ours))


def _rates(ours: Outcome | None, in_flight: int) -> Cells:
    def cells(sample: Sample) -> tuple[str, str, str]:
        rate, slow = (f"{in_flight / value:,.0f}" for value in (sample.median, sample.p99))
        ratio = f"{ours.median / sample.median:.2f}" if isinstance(ours, Sample) else ""
        return rate, slow, ratio

    return cells


def _sizes(ours: Outcome | None) -> Cells:
    def mebibytes(value: float) -> str:
        return f"{value / (1 << 20):,.1f} MiB"

    return lambda s: (mebibytes(s.median), mebibytes(max(s.values)), _ratio(s.median, ours))


def _ratio(value: float, ours: Outcome | None) -> str:
    return f"{value / ours.median:.2f}" if isinstance(ours, Sample) else ""
