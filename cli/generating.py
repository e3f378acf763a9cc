"""The gen command: generate stubs or check them, print tables and diffs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from remotemod.codegen.generate import Outcome, generate, regenerating_command
from remotemod.stub.declaration import Form

from . import output as terminal

__all__ = ["run"]

_STYLES = {"written": "green", "unchanged": "dim", "skipped": "dim", "failed": "red"}
_MANY = 40


def run(
    targets: list[str],
    output: Path | None,
    *,
    check: bool,
    diff: bool,
    stdout: bool,
    form: Form | None,
    device_moves: bool,
    live: bool,
) -> int:
    """Generate, print, and return the exit status."""
    with terminal.progress_bar() as progress:
        outcomes = generate(
            targets,
            None if stdout else output,
            form=form,
            device_moves=device_moves,
            write=not (check or diff or stdout),
            live=live,
            progress=progress,
        )
    failed = [o for o in outcomes if o.error is not None]
    for outcome in failed:
        assert outcome.error is not None
        terminal.error(outcome.error)
    if stdout:
        for outcome in outcomes:
            print(outcome.text, end="")
        return 1 if failed else 0
    behind = [o for o in outcomes if o.status in ("drifted", "missing", "stale")]
    if check or diff:
        for outcome in behind:
            _print_diff(outcome)
    if check and behind:
        flags = [] if form is None else [f"--{form}"]
        flags += [] if device_moves else ["--no-device-moves"]
        flags += ["--import"] if live else []
        count = f"{len(behind)} stub{'s are' if len(behind) > 1 else ' is'} out of date"
        terminal.stdout().print(f"{count}; regenerate with:", style="bold")
        command = regenerating_command(_targets_to_regenerate(targets, behind), output, flags)
        terminal.stdout().print("  " + command, markup=False)
    elif not diff:
        _print_table(outcomes)
    return 1 if failed or (check and behind) else 0


def _targets_to_regenerate(targets: Sequence[str], behind: Sequence[Outcome]) -> list[str]:
    """The shortest list of targets: the outcomes' own, or the given ones."""
    own = [o.target for o in behind]
    stale = any(o.status == "stale" for o in behind)
    return list(targets) if stale or len(own) > len(targets) else own


def _print_diff(outcome: Outcome) -> None:
    if outcome.status == "stale":
        text = f"stale: {outcome.path} (of {outcome.target})"
        terminal.stdout().print(text, style="red", markup=False)
    terminal.diff(outcome.diff)


def _print_table(outcomes: list[Outcome]) -> None:
    """Print every outcome, or of very many those that were not simply written; then the counts."""
    from rich.table import Table
    from rich.text import Text

    shown = outcomes
    if len(outcomes) > _MANY:
        shown = [o for o in outcomes if o.status not in ("written", "unchanged")]
    if shown:
        table = Table(box=None, pad_edge=False)
        for heading in ("stub", "of", "status"):
            table.add_column(heading, overflow="fold")
        for outcome in shown:
            path = "" if outcome.path is None else str(outcome.path)
            status = f"{outcome.status}: {outcome.reason}" if outcome.reason else outcome.status
            style = _STYLES.get(outcome.status, "yellow")
            table.add_row(Text(path), Text(outcome.target), Text(status, style))
        terminal.stdout().print(table)
    counts = Counter(o.status for o in outcomes)
    terminal.stdout().print(
        ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    )
