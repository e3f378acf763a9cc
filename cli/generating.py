"""What ``remotemod gen`` prints and answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from remotemod.stubs.declaration import Form
from remotemod.stubs.generate import Outcome, generate, mending_command

from . import output as terminal

__all__ = ["run"]


def run(
    targets: list[str],
    output: Path | None,
    *,
    check: bool,
    diff: bool,
    stdout: bool,
    form: Form | None,
    device_moves: bool,
) -> int:
    """Generates, prints, and returns the exit status."""
    write = not (check or diff or stdout)
    outcomes = generate(
        targets,
        None if stdout else output,
        form=form,
        device_moves=device_moves,
        write=write,
    )
    failed = [o for o in outcomes if o.error is not None]
    for outcome in failed:
        assert outcome.error is not None
        terminal.error(outcome.error)
    if stdout:
        for outcome in outcomes:
            print(outcome.text, end="")
        return 1 if failed else 0
    stale = [o for o in outcomes if o.status in ("drifted", "missing")]
    if check or diff:
        for outcome in stale:
            _print_diff(outcome.diff)
    if check and stale:
        flags = [] if form is None else [f"--{form}"]
        flags += [] if device_moves else ["--no-device-moves"]
        count = f"{len(stale)} stub{'s are' if len(stale) > 1 else ' is'} out of date"
        terminal.stderr().print(f"{count}; mend with:", style="bold")
        terminal.stderr().print("  " + mending_command(stale, output, flags), markup=False)
    elif not diff:
        _print_table(outcomes)
    return 1 if failed or (check and stale) else 0


def _print_diff(diff: str) -> None:
    console = terminal.stdout()
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff.splitlines():
        console.print(line, style=colours.get(line[:1]), markup=False)


def _print_table(outcomes: list[Outcome]) -> None:
    if not outcomes:
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("stub", "of", "status"):
        table.add_column(heading, overflow="fold")
    styles = {"written": "green", "unchanged": "dim", "failed": "red"}
    for outcome in outcomes:
        style = styles.get(outcome.status, "yellow")
        path = "" if outcome.path is None else str(outcome.path)
        table.add_row(path, outcome.target, f"[{style}]{outcome.status}[/]")
    terminal.stdout().print(table)
    counts = Counter(o.status for o in outcomes)
    terminal.stdout().print(
        ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    )
