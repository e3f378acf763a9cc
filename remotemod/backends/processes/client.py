"""The client of the fork server: starts it, and has it fork, watch and end workers."""

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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from remotemod.errors import BackendUnavailable, RemoteModError
from remotemod.process import slot

__all__ = ["ForkServer", "Forked", "acquire", "give_back", "import_path"]

_BATCH = 250
"""Workers that one request starts: each has a socket, and Linux passes 253 in one message."""

_REPLY_TIMEOUT = 120.0
"""Seconds that a reply may take: the first waits for torch to be loaded."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.load(sys.stdin); "
    "from remotemod.backends.processes.server import main; main(int(sys.argv[1]))"
)


class Forked(NamedTuple):
    """A worker that was forked.

    Attributes:
        pid: its process id.
        number: its number at the fork server.
        primary: the connection to it.
    """

    pid: int
    number: int
    primary: socket.socket


class ForkServer:
    """A fork server that this process has started; shared by its clusters, used by any thread."""

    def __init__(self) -> None:
        self._control, remote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with remote_end:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(remote_end.fileno())],
                pass_fds=[remote_end.fileno()],
                stdin=subprocess.PIPE,
                # Where this process has no stderr, fd 2 may be any file.
                stderr=None if sys.__stderr__ else subprocess.DEVNULL,
                # Idle compute threads that spin would take the core on which the caller works.
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
                start_new_session=True,  # Ctrl-C is for the caller to handle
            )
        with contextlib.suppress(BrokenPipeError):  # the first request raises
            assert self._process.stdin is not None
            with self._process.stdin as stdin:
                stdin.write(json.dumps(import_path()).encode())
        self.users = 0

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def fork(self, entry: str, config: dict[str, Any], names: Sequence[str]) -> list[Forked]:
        """Starts workers.

        Args:
            entry: the function that they run, as ``module:name``; called with ``config``, to which the worker's
                name was added, and with the worker's connection to the caller.
            config: anything that JSON can express.
            names: the workers' names.

        Raises:
            BackendUnavailable: not all of them can be started; then none is left.
        """
        forked: list[Forked] = []
        try:
            for start in range(0, len(names), _BATCH):
                forked += self._fork_batch(entry, config, names[start : start + _BATCH])
        except BaseException as error:
            for worker in forked:
                worker.primary.close()  # which ends it
            if isinstance(error, OSError):
                raise BackendUnavailable(
                    f"a worker process could not be started: {error}"
                ) from error
            raise
        return forked

    def _fork_batch(self, entry: str, config: dict[str, Any], names: Sequence[str]) -> list[Forked]:
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as remote_ends:
            primaries: list[socket.socket] = []
            fds: list[int] = []
            for _ in names:
                primary, remote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                primaries.append(on_failure.enter_context(primary))
                fds.append(remote_ends.enter_context(remote_end).fileno())
            request = {"op": "fork", "entry": entry, "config": config, "names": names}
            pids = self._request(request, fds)["pids"]
            on_failure.pop_all()
        return [
            Forked(pid, number, primary)
            for (number, pid), primary in zip(pids, primaries, strict=True)
        ]

    def wait(self, worker: Forked, timeout: float) -> tuple[int | None, list[str]]:
        """Waits for the end of a worker.

        Args:
            worker: the worker.
            timeout: seconds to wait at most.

        Returns:
            Its exit status as ``waitpid`` gives it, None if it lives on; and the last lines of its stderr.
        """
        request = {"op": "wait", "workers": [worker.number], "timeout": timeout}
        ends = self._request(request)["ends"]
        return (ends[0][0], ends[0][1]) if ends else (None, [])

    def end(self, workers: Sequence[Forked], grace: float) -> None:
        """Waits for workers to exit and kills those that have not after ``grace`` seconds."""
        try:
            numbers = [worker.number for worker in workers]
            self._request({"op": "end", "workers": numbers, "timeout": grace})
        except RemoteModError:
            self._end_orphans([worker.pid for worker in workers], grace)

    def _end_orphans(self, pids: Sequence[int], grace: float) -> None:
        """The same for workers that have outlived the fork server."""
        deadline = time.monotonic() + grace
        while living := [pid for pid in pids if self._is_worker(pid)]:
            if time.monotonic() >= deadline:
                for pid in living:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.01)

    def _is_worker(self, pid: int) -> bool:
        """Whether a process id is still the worker's: the system uses process ids again, but not a session's."""
        try:
            return os.getsid(pid) == self._process.pid
        except ProcessLookupError:
            return False

    def _request(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        """Sends a request over a connection of its own, so that one which waits keeps no other waiting."""
        try:
            connection, remote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with connection:
                with remote_end:
                    socket.send_fds(self._control, [b"?"], [remote_end.fileno()])
                connection.settimeout(_REPLY_TIMEOUT)
                data = json.dumps(request).encode()
                sent = socket.send_fds(connection, [data], fds)
                connection.sendall(data[sent:])
                connection.shutdown(socket.SHUT_WR)
                text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except OSError:
            text = b""
        if not text:
            raise BackendUnavailable(f"the fork server {self._failure()}")
        reply: dict[str, Any] = json.loads(text)
        if "error" in reply:
            raise BackendUnavailable(f"a worker process could not be started: {reply['error']}")
        return reply

    def _failure(self) -> str:
        """Why there is no reply, as the rest of a sentence."""
        try:
            status = self._process.wait(1.0)  # its sockets close a moment before it has ended
        except subprocess.TimeoutExpired:
            return "does not answer"
        return f"ended unexpectedly (exit status {status}); its own message is on stderr"

    def stop(self) -> None:
        """Ends the fork server, and the workers that it still has."""
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def disown(self) -> None:
        """In a forked process: leaves the fork server to the parent, with which it ends."""
        self._control.close()


@dataclass
class _Shared:
    """The fork server that the clusters of this process share; None while there is none."""

    server: ForkServer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def _in_child(shared: _Shared) -> _Shared:
    if shared.server is not None:
        shared.server.disown()
    return _Shared()


_SHARED = slot("the fork server of this process", _Shared, in_child=_in_child, lasting=True)


def acquire() -> ForkServer:
    """The fork server of this process, started if there is none; to be returned by :func:`give_back`."""
    shared = _SHARED.value
    with shared.lock:
        if shared.server is None or not shared.server.is_running():
            shared.server = ForkServer()
        shared.server.users += 1
        return shared.server


def give_back(server: ForkServer) -> None:
    """Ends a fork server with its last user: a closed cluster leaves no process."""
    shared = _SHARED.value
    with shared.lock:
        server.users -= 1
        if server.users:
            return
        if server is shared.server:
            shared.server = None
    server.stop()


def import_path() -> list[str]:
    """Where this process imports from, as absolute paths."""
    return [os.path.abspath(entry) for entry in sys.path]
