"""The output of the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remotemod.errors import RemoteModError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["diff", "error", "progress_bar", "stderr", "stdout"]


_UNBOUNDED = 100_000
"""The width where the output is no terminal: readers of a pipe want whole lines."""


def stdout() -> Console:
    """The console for results; colours and folded lines only on a terminal."""
    from rich.console import Console

    at_terminal = sys.stdout.isatty()
    return Console(
        highlight=False, soft_wrap=not at_terminal, width=None if at_terminal else _UNBOUNDED
    )


def stderr() -> Console:
    """The console for messages about the results."""
    from rich.console import Console

    at_terminal = sys.stderr.isatty()
    return Console(
        stderr=True,
        highlight=False,
        soft_wrap=not at_terminal,
        width=None if at_terminal else _UNBOUNDED,
    )


def error(problem: RemoteModError | str) -> None:
    """Print an error; nothing in it is taken for markup."""
    console = stderr()
    console.print("error:", style="bold red", end=" ")
    console.print(str(problem), markup=False)


def diff(text: str) -> None:
    """Print a unified diff in colours."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    console = stdout()
    for line in text.splitlines():
        console.print(line, style=colours.get(line[:1]), markup=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar on a terminal; None elsewhere."""
    console = stderr()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, target: str) -> None:
            bar.update(task, completed=done, total=total, description=target)

        yield progress
