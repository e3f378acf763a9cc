"""The processes that call peers: started, asked and ended here; a failure is a result like any other."""

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
    "OpenPeers",
    "OpenWay",
    "marked",
    "open_peers",
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
        """Wait until the caller has imported what it needs."""
        self._receive()

    def ask(self, request: str, *arguments: Any) -> Any:
        """Have the caller run one of its methods; see :class:`remotemod.bench.caller.Caller`.

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
        """Tell the caller to end its peer and itself, without waiting for that."""
        self._connection.close()

    def stop(self) -> None:
        """End the caller, its peer, and every process that either has left."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        _kill_marked(self.mark)
        self._process.wait()
        self._stderr.close()


def _kill_marked(mark: str) -> None:
    """Kill the processes that have the mark in their environment, after a moment to end by themselves."""
    begun = time.monotonic()
    while (pids := marked(mark)) and time.monotonic() < begun + _GRACE:
        if time.monotonic() > begun + _MOMENT:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def marked(mark: str) -> list[int]:
    """The processes with ``mark`` in their environment: a caller and its descendants."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                pids.append(int(folder.name))
    return pids


@dataclass(frozen=True)
class OpenWay:
    """One way of an open peer.

    Args:
        name: the way's name.
        caller: the process that calls it.
        abilities: what it can do.
    """

    name: str
    caller: CallerHandle
    abilities: frozenset[str]


@dataclass(frozen=True)
class OpenPeers:
    """Peers with workers that have answered.

    Args:
        ways: their ways.
        failed: the peers that could not be opened, and why.
    """

    ways: tuple[OpenWay, ...]
    failed: dict[str, Failure]

    def having(self, ability: str) -> list[OpenWay]:
        """The ways that can do something."""
        return [way for way in self.ways if ability in way.abilities]


def usable(peers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Failure]]:
    """The peers that can run here, and why the others cannot; a peer is a name and where it is implemented."""
    reasons = {name: load(spec).available() for name, spec in peers.items()}
    failed = {name: Failure(reason) for name, reason in reasons.items() if reason is not None}
    return {name: spec for name, spec in peers.items() if name not in failed}, failed


@contextlib.contextmanager
def open_peers(peers: Mapping[str, str], workers: Sequence[str]) -> Iterator[OpenPeers]:
    """Open peers, each with workers of these names, one after another; end them with the context."""
    opened: list[OpenWay] = []
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
            opened += [OpenWay(name, caller, frozenset(can)) for name, can in ways.items()]
        yield OpenPeers(tuple(opened), failed)
