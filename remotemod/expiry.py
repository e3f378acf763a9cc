"""Fail calls at their deadline though no thread of ours waits for them: awaited ones, and those with callbacks."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import weakref
from typing import Protocol

from remotemod.process import slot

__all__ = ["Expires", "expire_in_time"]


class Expires(Protocol):
    """A call that has a deadline."""

    @property
    def deadline(self) -> float | None:
        """The ``time.monotonic()`` at which it has failed; None for never."""

    @property
    def settled(self) -> bool:
        """Whether its outcome is known."""

    def expire(self) -> None:
        """Fail it if its deadline has passed."""


class _Clock:
    """The deadlines, and a thread while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, weakref.ref[Expires]]] = []
        self._cleanup_size = 64
        self._runs = False

    def add(self, deadline: float, call: Expires) -> None:
        """Fail a call at its deadline."""
        with self._changed:
            if len(self._due) >= self._cleanup_size:
                self._due = [entry for entry in self._due if _is_pending(entry[2])]
                heapq.heapify(self._due)
                self._cleanup_size = 64 + 2 * len(self._due)
            heapq.heappush(self._due, (deadline, next(self._numbers), weakref.ref(call)))
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="remotemod-deadlines", daemon=True).start()
            elif self._due[0][0] == deadline:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._due and not _is_pending(self._due[0][2]):
                    heapq.heappop(self._due)
                if not self._due:
                    self._runs = False
                    return
                left = self._due[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                call = heapq.heappop(self._due)[2]()
            if call is not None:
                call.expire()


def _is_pending(ref: weakref.ref[Expires]) -> bool:
    call = ref()
    return call is not None and not call.settled


_CLOCK = slot("deadlines of calls that no thread waits for", _Clock, in_child="new")


def expire_in_time(call: Expires) -> None:
    """Make a call fail at its deadline, if it has one, though no thread waits for it."""
    if call.deadline is not None and not call.settled:
        _CLOCK.value.add(call.deadline, call)
