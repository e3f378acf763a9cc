"""What workers write to stderr: handed on to the user at once, and its end kept for the report of a death."""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import stat
import sys
from typing import Any

__all__ = ["Outlet", "Pipe", "redirect"]

_CHUNK = 1 << 16
_KEPT = 1 << 14
_LINES, _WIDTH, _SIZE = 20, 500, 4096


class Outlet:
    """The fork server's own stderr, written to without ever waiting for those who read it.

    Attributes:
        pending: what could not be written yet.
    """

    def __init__(self) -> None:
        self.pending = b""
        self._fd = 2
        mode = os.fstat(2).st_mode
        self._socket = socket.socket(fileno=os.dup(2)) if stat.S_ISSOCK(mode) else None
        if stat.S_ISFIFO(mode) or os.isatty(2):
            # O_NONBLOCK belongs to what was opened, and that is shared with other processes.
            with contextlib.suppress(OSError):
                self._fd = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def fileno(self) -> int:
        """What to watch for room."""
        return self._fd

    def write(self, data: bytes) -> None:
        """Writes as much as there is room for; the rest is pending."""
        self.pending += data
        self.flush()

    def flush(self) -> None:
        """Writes on."""
        try:
            while self.pending:
                part = self.pending[:_CHUNK]
                if self._socket is None:
                    done = os.write(self._fd, part)
                else:
                    done = self._socket.send(part, socket.MSG_DONTWAIT)
                self.pending = self.pending[done:]
        except BlockingIOError:
            pass
        except OSError:
            self.pending = b""  # nobody is there any more

    def finish(self, seconds: float) -> None:
        """Writes the rest, if somebody takes it in this time."""
        while self.pending and select.select([], [self], [], seconds)[1]:
            self.flush()

    def close(self) -> None:
        """Leaves fd 2 itself alone."""
        if self._socket is not None:
            self._socket.close()
        if self._fd != 2:
            os.close(self._fd)


class Pipe:
    """The end at which a worker's stderr is read.

    Args:
        fd: the pipe's reading end, which this object owns from now on.
        outlet: where everything goes.
    """

    def __init__(self, fd: int, outlet: Outlet) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._outlet = outlet
        self._tail = b""

    def fileno(self) -> int:
        """What to watch."""
        return self._fd

    def read(self) -> bool | None:
        """Takes one portion of what is there; None if there is nothing, False if nothing will come."""
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return None
        self._outlet.write(data)
        self._tail = (self._tail + data)[-_KEPT:]
        return bool(data)

    def drain(self) -> None:
        """Takes what its dead worker has left; somebody else may hold the pipe open and fill it on."""
        for _ in range(16):
            if not self.read():
                break

    def last_lines(self) -> list[str]:
        """The end of what was written."""
        found: list[str] = []
        room = _SIZE
        for line in reversed(self._tail.splitlines()[-_LINES:]):
            room -= len(line[:_WIDTH]) + 1
            if room < 0:
                break
            found.insert(0, line[:_WIDTH].decode(errors="replace"))
        return found

    def close(self) -> None:
        """Whoever writes on gets an error."""
        os.close(self._fd)
        self._fd = -1


class _Writer(io.FileIO):
    """A worker's stderr, which falls back on the user's when the fork server has died."""

    def __init__(self, spare: int) -> None:
        super().__init__(2, "w", closefd=False)
        self._spare = spare

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(self._spare, 2)
            return super().write(data)


def redirect(pipe: int) -> None:
    """In a new worker: from here on fd 2 and ``sys.stderr`` are the writing end of a pipe."""
    raw = _Writer(os.dup(2))
    os.dup2(pipe, 2)
    os.close(pipe)
    encoding = sys.stderr.encoding
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True
    )
