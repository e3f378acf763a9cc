"""Where and how the command line prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remotemod.errors import RemoteModError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["error", "stderr", "stdout"]


_UNBOUNDED = 100_000
"""The width of what is no terminal: whoever reads a pipe wants whole lines."""


def stdout() -> Console:
    """For results; colours and folded lines only on a terminal."""
    from rich.console import Console

    at_terminal = sys.stdout.isatty()
    return Console(
        highlight=False, soft_wrap=not at_terminal, width=None if at_terminal else _UNBOUNDED
    )


def stderr() -> Console:
    """For everything that is said about the results."""
    from rich.console import Console

    at_terminal = sys.stderr.isatty()
    return Console(
        stderr=True,
        highlight=False,
        soft_wrap=not at_terminal,
        width=None if at_terminal else _UNBOUNDED,
    )


def error(problem: RemoteModError | str) -> None:
    """Prints what went wrong; nothing in it is taken for markup."""
    console = stderr()
    console.print("error:", style="bold red", end=" ")
    console.print(str(problem), markup=False)
