"""A thread that reads a connection while calls are in flight for which no thread waits: for callbacks, and ``await``."""

from __future__ import annotations

import functools
import threading

from remotemod.backends.shm.leader_followers import LeaderFollowers
from remotemod.backends.shm.pending import PendingCalls

__all__ = ["BackgroundReader"]


class BackgroundReader:
    """Reads until nothing is in flight, and fails calls at their deadlines.

    Args:
        reader: the connection.
        pending: its calls in flight.
        name: the name of the thread.
    """

    def __init__(self, reader: LeaderFollowers, pending: PendingCalls, name: str) -> None:
        self._reader = reader
        self._pending = pending
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next_deadline: float | None = None

    def attend(self, deadline: float | None) -> None:
        """Makes sure that the thread runs, and that it fails late calls at ``deadline``."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
                return
            is_sooner = deadline is not None and (
                self._next_deadline is None or deadline < self._next_deadline
            )
            if not is_sooner:
                return
            self._next_deadline = deadline
        self._reader.wake()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    self._thread = None
                    return
                futures = self._pending.futures()
                deadlines = [future.deadline for future in futures if future.deadline is not None]
                deadline = self._next_deadline = min(deadlines, default=None)
            self._reader.read_until(functools.partial(self._must_check, deadline), deadline)
            self._pending.expire()

    def _must_check(self, deadline: float | None) -> bool:
        return not self._pending or self._next_deadline != deadline
