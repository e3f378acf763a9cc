"""Waits for a socket to become readable: by busy-polling for a moment, then asleep."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time

__all__ = ["Poller"]

_BUSY_POLL = 1e-3
"""Seconds of busy-polling before a thread sleeps.

On a quiet virtual machine waking a thread takes up to 100 µs, and a peer that is kept waiting for that long goes to
sleep too: with 100 µs of busy-polling, whole runs of small calls took 270 µs instead of 70, and with 500 µs those of
4 MiB 790 instead of 620. To yield between polls gives a whole time slice away (seen as stalls of 4 ms)."""
_MAX_SKIPS = 127
_LONG_WAIT = 20 * _BUSY_POLL


class Poller:
    """Waits for bytes from one socket, in one thread at a time.

    A busy-poll that ends in vain before a short wait doubles the number of waits that go without one, so that on
    a crowded machine, and beside long work, waiting costs next to nothing.

    Args:
        sock: the socket; closed by its owner.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        readable.register(self._wake_in, select.POLLIN)
        self._poll = readable.poll
        # On one core nothing arrives while this thread busy-polls.
        self._skips = self._skipped = 0 if _cores() > 1 else _MAX_SKIPS
        self._missed = 0.0  # when the last busy-poll ended in vain

    def wait(self, deadline: float | None) -> bool:
        """Waits for bytes; False when the deadline passed or :meth:`wake` was called."""
        events: list[tuple[int, int]] = []
        if deadline == 0.0:
            events = self._poll(0)
        else:
            if self._skipped < self._skips:
                self._skipped += 1
            else:
                events = self._busy_poll()
            if not events:
                events = self._sleep(deadline)
        if len(events) == 1 and events[0][0] == self._fd:
            return True
        if events:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        return len(events) > 1

    def _busy_poll(self) -> list[tuple[int, int]]:
        """Polls again and again for a moment: waking a thread that sleeps takes longer than a small call."""
        poll, now = self._poll, time.perf_counter
        end = now() + _BUSY_POLL
        self._skipped = 0
        while not (events := poll(0)):
            if now() >= end:
                self._missed = end
                return events
        self._skips = 0
        return events

    def _sleep(self, deadline: float | None) -> list[tuple[int, int]]:
        """Waits asleep; after a long wait the busy-poll was cheap, and their number stays as it is."""
        left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
        events = self._poll(left)
        if self._missed:
            if time.perf_counter() - self._missed < _LONG_WAIT:
                self._skips = min(2 * self._skips + 1, _MAX_SKIPS)
            self._missed = 0.0
        return events

    def wake(self) -> None:
        """Makes a :meth:`wait` in another thread return."""
        with contextlib.suppress(OSError):
            os.write(self._wake_out, b"!")

    def close(self) -> None:
        """Closes what :meth:`wake` needs."""
        os.close(self._wake_in)
        os.close(self._wake_out)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
