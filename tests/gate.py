"""Keeps a worker busy until the test says otherwise, so that no test depends on how long a machine takes."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

__all__ = ["Gate", "held"]


def held(gate: str, seconds: float = 60.0) -> None:
    """On the worker: returns when the gate is open, at the latest after ``seconds``."""
    until = time.monotonic() + seconds
    while not Path(gate).exists():
        if time.monotonic() > until:
            raise TimeoutError("nobody has opened the gate")
        time.sleep(0.002)


class Gate:
    """A gate that is shut at first.

    Args:
        folder: where its file is written when it opens.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"gate-{uuid.uuid4().hex}"

    @property
    def name(self) -> str:
        """What :func:`held` takes."""
        return str(self._path)

    def open(self) -> None:
        """Lets everybody pass, from now on."""
        self._path.touch()
