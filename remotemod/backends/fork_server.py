"""The fork server: one process with torch loaded, from which workers start in milliseconds.

The standard library's fork server imports the user's main module into every child and leaves a tracker
process behind; workers need neither.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from remotemod.errors import BackendUnavailable

__all__ = ["ForkServer", "acquire", "give_back", "main"]

_LIMIT = 1 << 16
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from remotemod.backends.fork_server import main; main(int(sys.argv[1]))"
)


class ForkServer:
    """The caller's handle on its fork server; shared by the process's clusters."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Idle compute threads that spin would take the core on which the caller works.
                env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
                start_new_session=True,  # Ctrl-C is for the caller to handle
            )
        self._sock = ours
        self._lock = threading.Lock()
        self.users = 0

    def fork(self, entry: str, config: dict[str, Any], primary: socket.socket) -> int:
        """Starts a worker.

        Args:
            entry: the function that it runs, as ``module:name``; called with ``config`` and its ``primary``.
            config: what JSON can say.
            primary: the worker's connection to the caller.

        Returns:
            The worker's process id.
        """
        request = {"op": "fork", "entry": entry, "config": config}
        return int(self._ask(request, [primary.fileno()])["pid"])

    def status(self, pid: int, timeout: float) -> int | None:
        """A worker's exit status as ``waitpid`` gives it; None while it lives."""
        answer = self._ask({"op": "wait", "pid": pid, "timeout": timeout})["status"]
        return None if answer is None else int(answer)

    def end(self, pids: list[int], grace: float) -> None:
        """Waits for workers to exit and kills those that have not after ``grace`` seconds."""
        self._ask({"op": "end", "pids": pids, "grace": grace})

    def _ask(self, request: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        with self._lock:
            data = json.dumps(request).encode()
            try:
                socket.send_fds(self._sock, [data], fds or [])
                answer = self._sock.recv(_LIMIT)
            except OSError:
                answer = b""
        if not answer:
            raise BackendUnavailable(
                "the fork server ended unexpectedly "
                f"(exit status {self._process.poll()}); its own message is on stderr"
            )
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise BackendUnavailable(f"a worker process could not be started: {found['error']}")
        return found

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
        if not _SHARED:
            _SHARED.append(ForkServer())
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


# --- in the fork server's own process ---------------------------------------------------------


def main(fd: int) -> None:
    """Serves fork requests until the caller closes its end (or dies)."""
    import gc

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=fd)
    # What a worker needs is imported here, once.
    import remotemod.backends.preload  # noqa: F401

    gc.collect()
    gc.freeze()
    children: set[int] = set()
    while True:
        data, fds, _, _ = socket.recv_fds(sock, _LIMIT, 4)
        if not data:
            break
        request = json.loads(data)
        try:
            answer = _serve(request, fds, children, sock)
        except OSError as error:
            answer = {"error": str(error)}
        for each in fds:
            os.close(each)
        with contextlib.suppress(BrokenPipeError):
            sock.send(json.dumps(answer).encode())
    _end(children, 1.0)


def _serve(
    request: dict[str, Any], fds: list[int], children: set[int], sock: socket.socket
) -> dict[str, Any]:
    if request["op"] == "fork":
        pid = os.fork()
        if pid == 0:
            _become_worker(request["entry"], request["config"], fds, sock)
        _ENDED.pop(pid, None)  # the system gives numbers out again
        children.add(pid)
        return {"pid": pid}
    if request["op"] == "wait":
        return {"status": _wait(request["pid"], request["timeout"], children)}
    _end({pid for pid in request["pids"] if pid in children}, request["grace"])
    children.difference_update(request["pids"])
    return {}


def _become_worker(entry: str, config: dict[str, Any], fds: list[int], sock: socket.socket) -> None:
    status = 1
    try:
        sock.close()
        module, _, name = entry.partition(":")
        getattr(importlib.import_module(module), name)(config, socket.socket(fileno=fds[0]))
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


_ENDED: dict[int, int] = {}


def _wait(pid: int, timeout: float, children: set[int]) -> int | None:
    until = time.monotonic() + timeout
    while True:
        if pid in _ENDED:
            return _ENDED[pid]
        if pid not in children:
            return None
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            _ENDED[pid] = status
        elif time.monotonic() >= until:
            return None
        else:
            time.sleep(0.002)


def _end(pids: set[int], grace: float) -> None:
    until = time.monotonic() + grace
    left = set(pids)
    killed = False
    while left:
        for pid in list(left):
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                found, status = pid, 0
            if found:
                _ENDED[pid] = status
                left.discard(pid)
        if left and not killed and time.monotonic() >= until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            killed = True
        if left:
            time.sleep(0.002)
