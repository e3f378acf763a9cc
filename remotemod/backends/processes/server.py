"""The fork server's own process: forks workers, watches them, and tells how each of them ended."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import functools
import gc
import itertools
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from remotemod.backends.processes.stderr import Outlet, Pipe, redirect
from remotemod.objects import ObjectNotFound, find, split_name

__all__ = ["main"]

_MOST_FDS = 253  # Linux passes no more in one message

_GRACE = 1.0
_KILLING = 5.0

Entry = Callable[[dict[str, Any], socket.socket], None]
Job = Callable[[], None]
"""What a new worker has to do."""


def main(fd: int) -> None:
    """Serves the caller until it closes its end (or dies); in each child, becomes a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The crashing thread alone: those that merely wait would fill the lines that are kept.
    # Since Python 3.14 a stack in C would come behind Python's own, and leave no room for it in a report.
    more: dict[str, Any] = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(2, all_threads=False, **more)
    gc.disable()  # what is loaded here stays, so looking for garbage would only take time
    # What a worker needs is imported here, once.
    import remotemod.backends.processes.preload  # noqa: F401

    job = _Server(socket.socket(fileno=fd)).serve()
    status = 0
    if job is not None:
        gc.enable()
        status = _work(job)
    os._exit(status)


def _work(job: Job) -> int:
    status = 1
    try:
        job()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    return status


class _Worker:
    def __init__(self, pid: int, stderr: Pipe) -> None:
        self.pid = pid
        self.stderr = stderr
        self.status: int | None = None


@dataclass
class _Waiter:
    """Somebody who wants to know of workers' ends, and what is done when they are late."""

    connection: socket.socket | None
    workers: list[_Worker]
    until: float
    kills: bool
    killed: bool = False


class _Server:
    """Never waits but for all at once: for requests, for workers' ends and for what they write.

    Args:
        control: over which the caller sends a connection for each request.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, _Worker] = {}
        self._living: dict[int, _Worker] = {}
        self._numbers = itertools.count(1)  # the system gives process ids out again
        self._waiters: list[_Waiter] = []
        self._outlet = Outlet()
        self._open = True
        self._woken, self._wakes = socket.socketpair()
        self._woken.setblocking(False)
        self._wakes.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        # While the user's stderr takes no more, nothing is read from the workers' either.
        self._all = selectors.DefaultSelector()
        self._full = selectors.DefaultSelector()
        for selector in (self._all, self._full):
            selector.register(self._control, selectors.EVENT_READ, self._on_request)
            selector.register(self._woken, selectors.EVENT_READ, self._on_end)

    def serve(self) -> Job | None:
        """Returns when all is over, and in each worker with what it has to do."""
        while self._open or self._waiters:
            for key, _ in self._ready():
                job: Job | None = key.data()
                if job is not None:
                    return job
            for waiter in list(self._waiters):
                self._look_after(waiter)
        self._outlet.finish(_GRACE)
        return None

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        selector = self._all
        if self._outlet.pending:
            selector = self._full
            if self._outlet not in selector.get_map():
                selector.register(self._outlet, selectors.EVENT_WRITE, self._outlet.flush)
        until = min((waiter.until for waiter in self._waiters), default=None)
        return selector.select(None if until is None else max(0.0, until - time.monotonic()))

    # --- requests -----------------------------------------------------------------------------

    def _on_request(self) -> Job | None:
        data, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data:
            self._open = False
            for selector in (self._all, self._full):
                selector.unregister(self._control)
            until = time.monotonic() + _GRACE
            self._waiters.append(_Waiter(None, list(self._living.values()), until, kills=True))
        elif fds:
            connection = socket.socket(fileno=fds[0])
            try:
                text, fds = _received(connection)
                return self._act(json.loads(text), fds, connection)
            except (OSError, ValueError, ImportError, ObjectNotFound) as error:
                _answer(connection, {"error": f"{type(error).__name__}: {error}"})
        return None

    def _act(
        self, request: dict[str, Any], fds: list[int], connection: socket.socket
    ) -> Job | None:
        if request["op"] == "fork":
            return self._fork(request, fds, connection)
        numbers = request["workers"]
        workers = [self._workers[number] for number in numbers if number in self._workers]
        kills = request["op"] == "end"
        self._waiters.append(
            _Waiter(connection, workers, time.monotonic() + request["timeout"], kills)
        )
        if kills:
            for number in numbers:
                self._workers.pop(number, None)
        return None

    def _fork(
        self, request: dict[str, Any], fds: list[int], connection: socket.socket
    ) -> Job | None:
        entry = find(*split_name(request["entry"]), load=True)
        started: dict[int, _Worker] = {}
        gc.freeze()
        try:
            if len(fds) < len(request["names"]):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            for name in request["names"]:
                job = self._fork_one(entry, {**request["config"], "name": name}, fds, started)
                if job is not None:
                    connection.close()
                    return job
        except OSError:
            for worker in started.values():
                os.kill(worker.pid, signal.SIGKILL)
            raise
        finally:
            for fd in fds:
                os.close(fd)
        self._workers.update(started)
        pids = {number: worker.pid for number, worker in started.items()}
        _answer(connection, {"pids": list(pids.items())})
        return None

    def _fork_one(
        self,
        entry: Entry,
        config: dict[str, Any],
        fds: list[int],
        started: dict[int, _Worker],
    ) -> Job | None:
        ours, theirs = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(ours)
            os.close(theirs)
            raise
        primary = fds.pop(0)
        stderr = Pipe(ours, self._outlet)
        if pid == 0:
            stderr.close()
            return functools.partial(self._become_worker, theirs, entry, config, primary)
        os.close(primary)
        os.close(theirs)
        worker = _Worker(pid, stderr)
        self._living[pid] = started[next(self._numbers)] = worker
        on_text = functools.partial(self._on_text, worker.stderr)
        self._all.register(worker.stderr, selectors.EVENT_READ, on_text)
        return None

    def _become_worker(
        self, stderr: int, entry: Entry, config: dict[str, Any], primary: int
    ) -> None:
        """In a new worker: lets go of what is the server's, because others wait for it to be closed."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        watched: list[Any] = [key.fileobj for key in self._all.get_map().values()]
        asking = [waiter.connection for waiter in self._waiters if waiter.connection is not None]
        for each in (*watched, *asking, self._wakes, self._outlet, self._all, self._full):
            each.close()
        redirect(stderr)
        entry(config, socket.socket(fileno=primary))

    # --- workers' ends ------------------------------------------------------------------------

    def _on_text(self, stderr: Pipe) -> None:
        if stderr.read() is False:
            self._all.unregister(stderr)
            stderr.close()

    def _on_end(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                worker = self._living.pop(pid, None)
                if worker is not None:
                    worker.status = status
                    worker.stderr.drain()

    def _look_after(self, waiter: _Waiter) -> None:
        left = [worker for worker in waiter.workers if worker.status is None]
        is_late = time.monotonic() >= waiter.until
        if left and is_late and waiter.kills and not waiter.killed:
            waiter.killed = True
            waiter.until += _KILLING
            for worker in left:
                os.kill(worker.pid, signal.SIGKILL)
        elif is_late or not left:
            self._waiters.remove(waiter)
            if waiter.connection is not None:
                ends = [] if waiter.kills else [_end_of(worker) for worker in waiter.workers]
                _answer(waiter.connection, {"ends": ends})


def _end_of(worker: _Worker) -> tuple[int | None, list[str]]:
    worker.stderr.drain()
    return worker.status, worker.stderr.last_lines()


def _received(connection: socket.socket) -> tuple[bytes, list[int]]:
    """A request and the descriptors that came with it; the caller says where it ends."""
    data, fds, _, _ = socket.recv_fds(connection, 1 << 16, _MOST_FDS)
    while more := connection.recv(1 << 20):
        data += more
    return data, list(fds)


def _answer(connection: socket.socket, answer: dict[str, Any]) -> None:
    with connection, contextlib.suppress(OSError):  # who asked may be gone
        connection.sendall(json.dumps(answer).encode())
        connection.shutdown(socket.SHUT_WR)
