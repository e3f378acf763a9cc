"""The migrate command: rewrite sources or print diffs, and print remarks."""

from __future__ import annotations

import sys

from remotemod.migrate.migrate import migrate
from remotemod.migrate.model import Outcome

from . import output as terminal

__all__ = ["run"]


def run(paths: list[str], *, write: bool) -> int:
    """Migrate, print, and return the exit status."""
    with terminal.progress_bar() as progress:
        outcomes = migrate(paths, write=write, progress=progress)
    changed = [o for o in outcomes if o.status == "changed"]
    failed = [o for o in outcomes if o.error is not None]
    for outcome in changed:
        if write:
            terminal.stdout().print(f"rewritten: {outcome.path}", markup=False)
        else:
            _print_diff(outcome)
    for outcome in outcomes:
        _print_remarks(outcome)
    for outcome in failed:
        assert outcome.error is not None
        terminal.error(outcome.error)
    _print_count(len(changed), len(outcomes), len(failed), write)
    return 2 if failed else 0


def _print_diff(outcome: Outcome) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write(outcome.diff)  # byte for byte, so that patch can apply it
    else:
        terminal.diff(outcome.diff)


def _print_remarks(outcome: Outcome) -> None:
    console = terminal.stderr()
    for remark in outcome.remarks:
        console.print("remark:", style="bold yellow", end=" ")
        console.print(f"{outcome.path}:{remark.line}: {remark.what}", markup=False)
        console.print(f"  hint: {remark.how}", markup=False)


def _print_count(changed: int, total: int, failed: int, write: bool) -> None:
    files = f"{total} file{'' if total == 1 else 's'}"
    text = f"{changed} of {files} {'rewritten' if write else 'would change'}"
    if failed:
        text += f", {failed} failed"
    if changed and not write:
        text += "; run again with --write"
    terminal.stdout().print(text, style="bold", markup=False)
