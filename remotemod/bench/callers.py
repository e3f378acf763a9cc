"""Starts, asks and ends the callers; what fails is a result like any other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NoReturn

from remotemod.bench.peers import load

__all__ = [
    "CallerFailed",
    "CallerHandle",
    "Failure",
    "Player",
    "Stage",
    "marked",
    "stage",
    "usable",
]

_SECONDS = 300.0
"""For an answer; a launch of many workers is the slowest of them."""

_GRACE = 30.0
_MOMENT = 2.0
_MARK = "REMOTEMOD_BENCH_CALLER"


@dataclass(frozen=True)
class Failure:
    """Why something could not be measured."""

    why: str


class CallerFailed(Exception):
    """A request failed; the message says why."""


class CallerHandle:
    """The measuring process's end of a caller.

    Args:
        peer: the name of the peer that it calls.
        spec: where that is implemented, as ``module:class``.

    Attributes:
        mark: an entry of the environment that its processes alone have.
    """

    def __init__(self, peer: str, spec: str) -> None:
        self.peer = peer
        self.mark = f"{_MARK}={uuid.uuid4().hex}"
        self._stderr = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed by stop
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "remotemod.bench.caller", spec, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                env={**os.environ, _MARK: self.mark.partition("=")[2]},
                start_new_session=True,  # Ctrl-C is for the measuring process to handle
            )
        self._connection: Connection = ours
        self._lost = ""

    def wait_until_ready(self) -> None:
        """Returns when the caller has imported what it needs."""
        self._receive()

    def ask(self, request: str, *arguments: Any) -> Any:
        """Asks the caller for something; see :class:`remotemod.bench.caller.Caller`.

        Raises:
            CallerFailed: it could not be done, or the caller is gone.
        """
        if self._lost:
            raise CallerFailed(self._lost)
        try:
            self._connection.send((request, arguments))
        except OSError:
            self._lose()
        return self._receive()

    def _receive(self) -> Any:
        if not self._connection.poll(_SECONDS):
            self._process.kill()
            self._lost = f"no answer within {_SECONDS:.0f} s"
            raise CallerFailed(self._lost)
        try:
            good, value = self._connection.recv()
        except (EOFError, OSError):
            self._lose()
        if not good:
            raise CallerFailed(value)
        return value

    def _lose(self) -> NoReturn:
        try:
            status = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        self._lost = f"its process ended with status {status}" + (f": {lines[-1]}" if lines else "")
        raise CallerFailed(self._lost)

    def end(self) -> None:
        """Tells the caller to end its peer and itself, and does not wait for that."""
        self._connection.close()

    def stop(self) -> None:
        """Ends the caller and its peer, and sees to it that nothing of either is left."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        _kill_marked(self.mark)
        self._process.wait()
        self._stderr.close()


def _kill_marked(mark: str) -> None:
    """Ends the processes whose environment has the mark, after a moment to end by themselves."""
    begun = time.monotonic()
    while (pids := marked(mark)) and time.monotonic() < begun + _GRACE:
        if time.monotonic() > begun + _MOMENT:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def marked(mark: str) -> list[int]:
    """The processes whose environment has ``mark``: a caller and all that descends from it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


@dataclass(frozen=True)
class Player:
    """One way of an open peer, which takes its turns."""

    way: str
    caller: CallerHandle
    abilities: frozenset[str]


@dataclass(frozen=True)
class Stage:
    """The open peers.

    Args:
        players: their ways.
        failed: the peers that could not be opened, and why.
    """

    players: tuple[Player, ...]
    failed: dict[str, Failure]

    def having(self, ability: str) -> list[Player]:
        """The ways that can do something."""
        return [player for player in self.players if ability in player.abilities]


def usable(peers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Failure]]:
    """The peers that can run here, and why the others cannot; a peer is a name and where it is implemented."""
    reasons = {name: load(spec).available() for name, spec in peers.items()}
    failed = {name: Failure(reason) for name, reason in reasons.items() if reason is not None}
    return {name: spec for name, spec in peers.items() if name not in failed}, failed


@contextlib.contextmanager
def stage(peers: Mapping[str, str], workers: Sequence[str]) -> Iterator[Stage]:
    """Opens peers, each with workers of these names, one after another; ends them with the context."""
    players: list[Player] = []
    with contextlib.ExitStack() as stack:
        able, failed = usable(peers)
        callers = []
        for name, spec in able.items():
            callers.append(caller := CallerHandle(name, spec))
            stack.callback(caller.stop)
        for caller in callers:
            stack.callback(caller.end)  # all are told first, and end side by side
        for caller in callers:
            try:
                caller.wait_until_ready()
                caller.ask("open", list(workers))
                ways = caller.ask("build")
            except CallerFailed as error:
                failed[caller.peer] = Failure(str(error))
                continue
            players += [Player(way, caller, frozenset(can)) for way, can in ways.items()]
        yield Stage(tuple(players), failed)
