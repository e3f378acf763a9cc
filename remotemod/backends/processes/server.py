"""The process of the fork server: forks workers, passes their stderr on, and reports how each of them ended."""

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
from typing import Any

from remotemod.backends.processes.children import Wait, Worker
from remotemod.backends.processes.stderr import StderrPipe, UserStderr, redirect_stderr
from remotemod.objects import find, split_name

__all__ = ["main"]

_MAX_FDS = 253  # Linux passes no more in one message

_GRACE = 1.0
"""Seconds that workers have to end by themselves, and the user to read what they wrote, once the caller is gone."""

Entry = Callable[[dict[str, Any], socket.socket], None]
Job = Callable[[], None]
"""What a new worker does once the server's loop has returned in it."""


def main(fd: int) -> None:
    """Serves the caller until it closes its end (or dies); in each child, becomes a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The crashing thread alone: threads that merely wait would fill the lines that are kept.
    # Since Python 3.14 a stack in C would come behind Python's own, and leave no room for it in a report.
    options: dict[str, Any] = {"c_stack": False} if sys.version_info >= (3, 14) else {}
    faulthandler.enable(2, all_threads=False, **options)
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


class _Server:
    """One event loop for requests, for the ends of workers and for what they write; nothing else blocks.

    Args:
        control: the socket over which the caller sends a connection for each request.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, Worker] = {}
        self._living: dict[int, Worker] = {}
        self._numbers = itertools.count(1)  # the system uses process ids again
        self._waits: list[Wait] = []
        self._output = UserStderr()
        self._open = True
        self._signals, self._signals_in = socket.socketpair()
        self._signals.setblocking(False)
        self._signals_in.setblocking(False)
        signal.set_wakeup_fd(self._signals_in.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        # While the user's stderr is full, nothing is read from the workers' either.
        self._selector = selectors.DefaultSelector()
        self._selector_while_full = selectors.DefaultSelector()
        for selector in (self._selector, self._selector_while_full):
            selector.register(self._control, selectors.EVENT_READ, self._on_request)
            selector.register(self._signals, selectors.EVENT_READ, self._on_exit)

    def serve(self) -> Job | None:
        """Runs until the caller is gone; returns in each worker as well, with what it has to do."""
        while self._open or self._waits:
            for key, _ in self._select():
                job: Job | None = key.data()
                if job is not None:
                    return job
            for wait in [wait for wait in self._waits if wait.is_over()]:
                self._waits.remove(wait)
                if wait.connection is not None:
                    _reply(wait.connection, {"ends": wait.ends()})
        self._output.finish(_GRACE)
        return None

    def _select(self) -> list[tuple[selectors.SelectorKey, int]]:
        selector = self._selector
        if self._output.pending:
            selector = self._selector_while_full
            if self._output not in selector.get_map():
                selector.register(self._output, selectors.EVENT_WRITE, self._output.flush)
        deadline = min((wait.deadline for wait in self._waits), default=None)
        return selector.select(None if deadline is None else max(0.0, deadline - time.monotonic()))

    # --- requests -----------------------------------------------------------------------------

    def _on_request(self) -> Job | None:
        data, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data:
            self._open = False
            for selector in (self._selector, self._selector_while_full):
                selector.unregister(self._control)
            deadline = time.monotonic() + _GRACE
            self._waits.append(Wait(None, list(self._living.values()), deadline, kills=True))
        elif fds:
            connection = socket.socket(fileno=fds[0])
            try:
                text, fds = _receive(connection)
                return self._handle(json.loads(text), fds, connection)
            except Exception as error:  # importing the entry may raise anything
                _reply(connection, {"error": f"{type(error).__name__}: {error}"})
        return None

    def _handle(
        self, request: dict[str, Any], fds: list[int], connection: socket.socket
    ) -> Job | None:
        if request["op"] == "fork":
            return self._fork(request, fds, connection)
        numbers = request["workers"]
        workers = [self._workers[number] for number in numbers if number in self._workers]
        kills = request["op"] == "end"
        deadline = time.monotonic() + request["timeout"]
        self._waits.append(Wait(connection, workers, deadline, kills))
        if kills:
            for number in numbers:
                self._workers.pop(number, None)
        return None

    def _fork(
        self, request: dict[str, Any], fds: list[int], connection: socket.socket
    ) -> Job | None:
        started: dict[int, Worker] = {}
        try:
            entry = find(*split_name(request["entry"]), load=True)
            gc.freeze()
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
        _reply(connection, {"pids": list(pids.items())})
        return None

    def _fork_one(
        self,
        entry: Entry,
        config: dict[str, Any],
        fds: list[int],
        started: dict[int, Worker],
    ) -> Job | None:
        reading, writing = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        primary = fds.pop(0)
        stderr = StderrPipe(reading, self._output)
        if pid == 0:
            stderr.close()
            return functools.partial(self._become_worker, writing, entry, config, primary)
        os.close(primary)
        os.close(writing)
        worker = Worker(pid, stderr)
        self._living[pid] = started[next(self._numbers)] = worker
        on_stderr = functools.partial(self._on_stderr, worker.stderr)
        self._selector.register(worker.stderr, selectors.EVENT_READ, on_stderr)
        return None

    def _become_worker(
        self, stderr: int, entry: Entry, config: dict[str, Any], primary: int
    ) -> None:
        """Runs in a new worker; first closes what is the server's, because other processes wait for the end of it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        watched: list[Any] = [key.fileobj for key in self._selector.get_map().values()]
        waiting = [wait.connection for wait in self._waits if wait.connection is not None]
        for inherited in (
            *watched,
            *waiting,
            self._signals_in,
            self._output,
            self._selector,
            self._selector_while_full,
        ):
            inherited.close()
        redirect_stderr(stderr)
        entry(config, socket.socket(fileno=primary))

    # --- the ends of workers ------------------------------------------------------------------

    def _on_stderr(self, stderr: StderrPipe) -> None:
        if stderr.read() is False:
            self._selector.unregister(stderr)
            stderr.close()

    def _on_exit(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._signals.recv(4096):
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


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """A request, which the caller ends by shutting its side down, and the descriptors that came with it."""
    data, fds, _, _ = socket.recv_fds(connection, 1 << 16, _MAX_FDS)
    while more := connection.recv(1 << 20):
        data += more
    return data, list(fds)


def _reply(connection: socket.socket, reply: dict[str, Any]) -> None:
    with connection, contextlib.suppress(OSError):  # the caller may be gone
        connection.sendall(json.dumps(reply).encode())
        connection.shutdown(socket.SHUT_WR)
