"""Runs an example as a stranger runs it: from the top of the tree, to the end of all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.isolation import processes_with

ROOT = Path(__file__).parents[2]


def run(example: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m examples.EXAMPLE``."""
    return python("-m", f"examples.{example}", *arguments)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python at the top of the tree; no process of it may be left, and two minutes are enough."""
    mark = f"REMOTEMOD_TEST={uuid.uuid4().hex}"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **dict([mark.split("=")]), "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    until = time.monotonic() + 30
    while (left := processes_with(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left, f"{arguments} left processes behind: {left}"
    return done
