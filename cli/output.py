"""Where and how the command line prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remotemod.errors import RemoteModError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["error", "stderr", "stdout"]


def stdout() -> Console:
    """For results; colours only on a terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """For everything that is said about the results."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def error(problem: RemoteModError | str) -> None:
    """Prints what went wrong; nothing in it is taken for markup."""
    console = stderr()
    console.print("error:", style="bold red", end=" ")
    console.print(str(problem), markup=False)
