"""A process that launches a cluster for others to connect to, and does what it is told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.preloaded.programs import Program

__all__ = ["Launcher"]

_SCRIPT = """
import gc, json, os, sys
import torch
import remotemod as rm
cluster = rm.launch(workers=json.loads(sys.argv[1]))
print(cluster.address, flush=True)
for line in sys.stdin:
    found = None
    exec(json.loads(line))
    print(json.dumps(found), flush=True)
cluster.close()
"""


class Launcher:
    """The process; as a context manager it ends with the block.

    Args:
        workers: the names of its workers.
        folder: where it runs, so that it can import nothing of the tests'.
    """

    def __init__(self, workers: Sequence[str], folder: Path) -> None:
        self.process = Program(
            ["-c", _SCRIPT, json.dumps(list(workers))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        self.address = self._line().strip()

    def run(self, code: str) -> object:
        """Runs code there, beside ``cluster``, ``rm`` and ``torch``; returns what it calls ``found``."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the launching process has ended; its error is above"
        return line

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdout, self.process.stdin:
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
