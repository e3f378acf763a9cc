"""The doctor command: examine the installation, print tables or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remotemod.doctor.examine import examine
from remotemod.doctor.model import Report

from . import output as terminal

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["print_report", "run"]


def run(as_json: bool, all_names: bool) -> int:
    """Examine, print, and return the exit status: 1 if something that is installed does not work."""
    with terminal.progress_bar() as progress:
        report = examine(progress)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report, all_names)
    return 1 if report.problems else 0


def print_report(report: Report, all_names: bool) -> None:
    """Print a table for each topic, and the problems last."""
    console = terminal.stdout()
    console.print(f"remotemod {report.remotemod}, Python {report.python}, {report.platform}")
    console.print(f"torch {report.torch or 'is not installed'}", markup=False)
    console.print(
        f"accelerators: {', '.join(report.accelerators) or 'none that torch sees'}", markup=False
    )
    console.print(f"TorchScript: {report.torchscript or 'works'}", markup=False)
    libraries = _table("libraries", "name", "version", "needed for")
    for library in report.libraries:
        libraries.add_row(
            library.name,
            library.version or ("-" if library.needed else "[red]missing[/]"),
            library.needed,
        )
    console.print(libraries)
    _print_names(report, all_names)
    backends = _table("backends", "name", "works", "launch", "small call", "capabilities")
    for check in report.backends:
        if check.works:
            launch, call = (f"{check.launch or 0:.1f} s", f"{(check.call or 0) * 1e6:,.0f} µs")
            backends.add_row(check.name, "yes", launch, call, ", ".join(check.capabilities))
        else:
            backends.add_row(check.name, "[red]no[/]", "", "", _plain(check.why))
    console.print(backends)
    for problem in report.problems:
        terminal.error(problem)


def _print_names(report: Report, all_names: bool) -> None:
    """Print the private names of torch: their number, and those that are missing, or all."""
    if not report.names:
        return
    console = terminal.stdout()
    present = sum(name.is_here for name in report.names)
    title = f"private names of torch that are relied on: {present} of {len(report.names)} are here"
    shown = [name for name in report.names if all_names or not name.is_here]
    if not shown:
        console.print(f"{title} (--all lists them)\n")
        return
    table = _table(title, "part", "name", "here", "relied on for", "without it")
    for name in shown:
        answer = "yes" if name.is_here else "[yellow]no[/]" if name.instead else "[red]no[/]"
        table.add_row(name.topic, _plain(name.name), answer, name.relied_on, name.without)
    console.print(table)


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
