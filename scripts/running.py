"""How these scripts run other programs: as from a shell that knows nothing of the Python that runs this."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

__all__ = ["environment", "run"]


def environment() -> dict[str, str]:
    """This process's environment without what changes how a Python starts, ``PYTHONPATH`` above all."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(
    *command: object, cwd: Path | None = None, shown: bool = False, fine: Collection[int] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; another status than those that are fine ends this program too.

    Args:
        command: the words.
        cwd: where.
        shown: print what it prints as it does; otherwise that is in the result.
        fine: the statuses that are no failure.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=environment(), capture_output=not shown, text=True, check=False
    )
    if done.returncode not in fine:
        sys.exit(
            f"{done.stdout or ''}{done.stderr or ''}status {done.returncode}: {' '.join(words)}"
        )
    return done
