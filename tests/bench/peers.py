"""Peers that misbehave, for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from remotemod.bench.peers.base import Opened, Way


class Absent:
    launches = True
    relaunches = False

    def available(self) -> str | None:
        return "absent is not installed; pip install absent"

    def prepare(self) -> None:
        raise AssertionError

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        raise AssertionError
        yield


class Refusing(Absent):
    """Opens, and every call of it raises."""

    launches = False

    def available(self) -> str | None:
        return None

    def prepare(self) -> None:
        pass

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        def call(worker: str, x: object) -> object:
            raise ValueError("not today\nnor tomorrow")

        yield Opened(lambda: {"refusing": Way(call=call)})


class Dying(Refusing):
    """Its process is gone with the first call, and a child of it stays."""

    @contextmanager
    def open(self, workers: Sequence[str]) -> Iterator[Opened]:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        subprocess.Popen(command, start_new_session=True)

        def call(worker: str, x: object) -> object:
            print("the last words", file=sys.stderr, flush=True)
            os._exit(7)

        yield Opened(lambda: {"dying": Way(call=call)})
