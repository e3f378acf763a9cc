"""The caller's side of the fork server: one process with torch loaded, from which workers start in milliseconds.

The standard library's fork server imports the user's main module into every child and leaves a tracker
process behind; workers need neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from remotemod.errors import BackendUnavailable, RemoteModError

__all__ = ["ForkServer", "Forked", "acquire", "give_back", "import_path"]

_BATCH = 250
"""Workers that one request starts: each has a socket, and Linux passes 253 in one message."""

_PATIENCE = 120.0
"""Seconds in which any answer must have come: the first waits for torch to be loaded."""

_START = (
    "import json, sys; sys.path[:] = json.load(sys.stdin); "
    "from remotemod.backends.processes.server import main; main(int(sys.argv[1]))"
)


class Forked(NamedTuple):
    """A worker that was started: its process id, its number at the fork server, the connection to it."""

    pid: int
    number: int
    primary: socket.socket


class ForkServer:
    """The caller's handle on its fork server; shared by the process's clusters, used by any thread."""

    def __init__(self) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,
                # Without a stderr of our own, number 2 may be any file.
                stderr=None if sys.__stderr__ else subprocess.DEVNULL,
                # Idle compute threads that spin would take the core on which the caller works.
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
                start_new_session=True,  # Ctrl-C is for the caller to handle
            )
        with contextlib.suppress(BrokenPipeError):  # the first request tells
            assert self._process.stdin is not None
            with self._process.stdin as stdin:
                stdin.write(json.dumps(import_path()).encode())
        self.users = 0

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def fork(self, entry: str, config: dict[str, Any], names: Sequence[str]) -> list[Forked]:
        """Starts workers.

        Args:
            entry: the function that they run, as ``module:name``; called with ``config``, the worker's
                name in it, and with the worker's connection to the caller.
            config: what JSON can say.
            names: the workers' names.

        Raises:
            BackendUnavailable: not all of them can be started; then none is left.
        """
        forked: list[Forked] = []
        try:
            for start in range(0, len(names), _BATCH):
                forked += self._fork_batch(entry, config, names[start : start + _BATCH])
        except BaseException as error:
            for each in forked:
                each.primary.close()  # which ends the worker
            if isinstance(error, OSError):
                raise BackendUnavailable(
                    f"a worker process could not be started: {error}"
                ) from error
            raise
        return forked

    def _fork_batch(self, entry: str, config: dict[str, Any], names: Sequence[str]) -> list[Forked]:
        with contextlib.ExitStack() as both, contextlib.ExitStack() as theirs:
            primaries: list[socket.socket] = []
            fds: list[int] = []
            for _ in names:
                one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                primaries.append(both.enter_context(one))
                fds.append(theirs.enter_context(other).fileno())
            request = {"op": "fork", "entry": entry, "config": config, "names": names}
            pids = self._ask(request, fds)["pids"]
            both.pop_all()
        return [
            Forked(pid, number, one) for (number, pid), one in zip(pids, primaries, strict=True)
        ]

    def wait(self, worker: Forked, timeout: float) -> tuple[int | None, list[str]]:
        """How a worker ended.

        Returns:
            Its exit status as ``waitpid`` gives it, None if it lives on after ``timeout`` seconds; and the
            last lines of its stderr.
        """
        request = {"op": "wait", "workers": [worker.number], "timeout": timeout}
        ends = self._ask(request)["ends"]
        return (ends[0][0], ends[0][1]) if ends else (None, [])

    def end(self, workers: Sequence[Forked], grace: float) -> None:
        """Waits for workers to exit and kills those that have not after ``grace`` seconds."""
        try:
            numbers = [worker.number for worker in workers]
            self._ask({"op": "end", "workers": numbers, "timeout": grace})
        except RemoteModError:
            self._end_orphans([worker.pid for worker in workers], grace)

    def _end_orphans(self, pids: Sequence[int], grace: float) -> None:
        """The same for workers that have outlived the fork server."""
        until = time.monotonic() + grace
        while left := [pid for pid in pids if self._is_ours(pid)]:
            if time.monotonic() >= until:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.01)

    def _is_ours(self, pid: int) -> bool:
        """Whether a process id still means the worker: the system gives them out again, but no session's."""
        try:
            return os.getsid(pid) == self._process.pid
        except ProcessLookupError:
            return False

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        """Each request has a connection of its own, so that one which waits keeps no other waiting."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with ours:
                with theirs:
                    socket.send_fds(self._sock, [b"?"], [theirs.fileno()])
                ours.settimeout(_PATIENCE)
                data = json.dumps(request).encode()
                sent = socket.send_fds(ours, [data], fds)
                ours.sendall(data[sent:])
                ours.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: ours.recv(1 << 16), b""))
        except OSError:
            answer = b""
        if not answer:
            raise BackendUnavailable(f"the fork server {self._what_ails_it()}")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise BackendUnavailable(f"a worker process could not be started: {found['error']}")
        return found

    def _what_ails_it(self) -> str:
        try:
            status = self._process.wait(1.0)  # its sockets close a moment before it has ended
        except subprocess.TimeoutExpired:
            return "does not answer"
        return f"ended unexpectedly (exit status {status}); its own message is on stderr"

    def stop(self) -> None:
        """Ends the fork server and whatever it still has."""
        self._sock.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_SHARED: list[ForkServer] = []
_SHARED_LOCK = threading.Lock()


def acquire() -> ForkServer:
    """The process's fork server, started if there is none; give it back with :func:`give_back`."""
    with _SHARED_LOCK:
        if not _SHARED or not _SHARED[0].is_running():
            _SHARED[:] = [ForkServer()]
        _SHARED[0].users += 1
        return _SHARED[0]


def give_back(server: ForkServer) -> None:
    """Ends the fork server with its last user: a closed cluster leaves no process."""
    with _SHARED_LOCK:
        server.users -= 1
        if server.users:
            return
        if server in _SHARED:
            _SHARED.remove(server)
    server.stop()


def import_path() -> list[str]:
    """Where this process imports from, as absolute paths."""
    return [os.path.abspath(entry) for entry in sys.path]
