"""What workers write to stderr: passed on to the user at once, and its end kept for the report of a crash."""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import stat
import sys
from typing import Any

__all__ = ["StderrPipe", "UserStderr", "redirect_stderr"]

_CHUNK = 1 << 16
_TAIL = 1 << 14
# What a report has at most: lines, bytes of a line, bytes of all.
_LINES, _WIDTH, _SIZE = 20, 500, 4096


class UserStderr:
    """The fork server's own stderr, which is the user's, written to without ever waiting for its reader.

    Attributes:
        pending: what could not be written yet.
    """

    def __init__(self) -> None:
        self.pending = b""
        self._fd = 2
        mode = os.fstat(2).st_mode
        self._socket = socket.socket(fileno=os.dup(2)) if stat.S_ISSOCK(mode) else None
        if stat.S_ISFIFO(mode) or os.isatty(2):
            # O_NONBLOCK belongs to the open file, which other processes share: so open it once more.
            with contextlib.suppress(OSError):
                self._fd = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def fileno(self) -> int:
        """The descriptor to watch for room."""
        return self._fd

    def write(self, data: bytes) -> None:
        """Writes as much as there is room for; the rest is pending."""
        self.pending += data
        self.flush()

    def flush(self) -> None:
        """Writes what is pending, as far as there is room."""
        try:
            while self.pending:
                chunk = self.pending[:_CHUNK]
                if self._socket is None:
                    written = os.write(self._fd, chunk)
                else:
                    written = self._socket.send(chunk, socket.MSG_DONTWAIT)
                self.pending = self.pending[written:]
        except BlockingIOError:
            pass
        except OSError:
            self.pending = b""  # its reader is gone

    def finish(self, timeout: float) -> None:
        """Writes what is pending, as long as its reader takes some every ``timeout`` seconds."""
        while self.pending and select.select([], [self], [], timeout)[1]:
            self.flush()

    def close(self) -> None:
        """Closes what was opened; fd 2 itself stays open."""
        if self._socket is not None:
            self._socket.close()
        if self._fd != 2:
            os.close(self._fd)


class StderrPipe:
    """The reading end of the pipe that is a worker's stderr.

    Args:
        fd: the reading end, which this object owns from now on.
        output: where everything goes.
    """

    def __init__(self, fd: int, output: UserStderr) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._output = output
        self._tail = b""

    def fileno(self) -> int:
        """The descriptor to watch for data."""
        return self._fd

    def read(self) -> bool | None:
        """Passes a chunk on; None if there is none now, False if there will be no more."""
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return None
        self._output.write(data)
        self._tail = (self._tail + data)[-_TAIL:]
        return bool(data)

    def drain(self) -> None:
        """Passes on what a worker has left that ended; bounded, because its children may write on."""
        for _ in range(16):
            if not self.read():
                break

    def last_lines(self) -> list[str]:
        """The last lines that were written."""
        lines: list[str] = []
        room = _SIZE
        for line in reversed(self._tail.splitlines()[-_LINES:]):
            room -= len(line[:_WIDTH]) + 1
            if room < 0:
                break
            lines.insert(0, line[:_WIDTH].decode(errors="replace"))
        return lines

    def close(self) -> None:
        """Closes the pipe; processes that still write to it get an error."""
        os.close(self._fd)
        self._fd = -1


class _WorkerStderr(io.FileIO):
    """A worker's stderr, which falls back on the user's when the fork server has died."""

    def __init__(self, fallback: int) -> None:
        super().__init__(2, "w", closefd=False)
        self._fallback = fallback

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(self._fallback, 2)
            return super().write(data)


def redirect_stderr(pipe: int) -> None:
    """Makes fd 2 and ``sys.stderr`` of a new worker the writing end of a pipe."""
    raw = _WorkerStderr(os.dup(2))
    os.dup2(pipe, 2)
    os.close(pipe)
    encoding = sys.stderr.encoding
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True
    )
