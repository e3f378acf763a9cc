"""The receiving half of a channel: messages out of a stream of bytes, with nothing lost between."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from remotemod.backends.shm.frames import (
    FRAME,
    GRAD,
    HEAP,
    INLINE,
    KIND,
    PREFIX,
    REQUEST,
    VALUE,
    Message,
)
from remotemod.backends.shm.memory import HAVE_MEMFD, Mapped
from remotemod.backends.shm.sender import HELLO
from remotemod.errors import ProtocolError
from remotemod.wire.express import Buffer

__all__ = ["Receiver"]

_BUFFER = 128 * 1024
_SPIN = 100e-6
"""Seconds to look before sleeping: about a small call and its answer.

More would help calls of some 100 KiB on a quiet machine, and hurt on a crowded one, where who looks keeps others from
their turn; and to yield between looks gives a whole time slice away (both seen as stalls of 4 ms)."""
_MOST_SKIPS = 63
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Unfinished(NamedTuple):
    """A message whose inline frames are still arriving; kept so that an interruption loses nothing."""

    message: Message
    missing: list[memoryview]


class Receiver:
    """Reads messages from a non-blocking socket, in one thread at a time.

    Args:
        sock: the socket; somebody else closes it.
        freed: told each place over which nothing lies any more, and its bytes.
    """

    def __init__(self, sock: socket.socket, freed: Callable[[int, int], None]) -> None:
        self._sock = sock
        self._freed = freed
        self._greeted = False
        self._arena: Mapped | None = None
        self._heap: Mapped | None = None
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._unfinished: _Unfinished | None = None
        # On one core nothing comes while this thread looks.
        self._skips = self._skipped = 0 if _CORES > 1 else _MOST_SKIPS
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        readable = select.poll()
        self._fd = sock.fileno()
        readable.register(self._fd, select.POLLIN)
        readable.register(self._wake_in, select.POLLIN)
        self._poll = readable.poll

    def receive(self, until: float | None) -> Message | None:
        """The next message, notes among them; see ``Channel.receive``."""
        if self._unfinished is not None:
            return self._finish(self._unfinished, until)
        if self._end - self._start < PREFIX.size and not self._need(PREFIX.size, until):
            return None
        call, header_size, count, kind, route = PREFIX.unpack_from(self._buffer, self._start)
        if not REQUEST <= kind & KIND <= VALUE:
            raise ProtocolError(
                f"message of unknown kind {kind}: the peer does not speak remotemod"
            )
        table_size = count * FRAME.size
        size = PREFIX.size + table_size + header_size
        if self._end - self._start < size and not self._need(size, until):
            return None
        at = self._start + PREFIX.size
        frames: list[Buffer] = []
        missing: list[memoryview] = []
        if count:
            for length, place in FRAME.iter_unpack(self._view[at : at + table_size]):
                if place != INLINE:
                    frames.append(self._at(place, length))
                    continue
                frames.append(bytearray(length))
                if length:
                    missing.append(memoryview(frames[-1]))
            at += table_size
        self._start = end = at + header_size
        header = bytearray(self._view[at:end])
        message = Message(call, kind & KIND, header, frames, route, kind & GRAD != 0)
        if not missing:
            return message
        self._unfinished = _Unfinished(message, missing)
        return self._finish(self._unfinished, until)

    def _finish(self, unfinished: _Unfinished, until: float | None) -> Message | None:
        """Reads a message's inline frames; first what was read too far, then straight to their place."""
        missing = unfinished.missing
        while missing:
            got = min(self._end - self._start, len(missing[0]))
            if got:
                missing[0][:got] = self._view[self._start : self._start + got]
                self._start += got
            else:
                try:
                    got = self._sock.recv_into(missing[0])
                except BlockingIOError:
                    if not self._wait(until):
                        return None
                    continue
                if not got:
                    raise EOFError("the connection ended in the middle of a message")
            missing[0] = missing[0][got:]
            if not missing[0]:
                del missing[0]
        self._unfinished = None
        return unfinished.message

    def _at(self, place: int, size: int) -> memoryview:
        memory = self._heap if place & HEAP else self._arena
        try:
            if memory is None:
                raise ValueError("the peer has announced no shared memory")
            return memory.at(place, size)
        except ValueError as error:
            raise ProtocolError(str(error)) from None

    def _need(self, size: int, until: float | None) -> bool:
        """Has ``size`` bytes in the buffer; False when the time is over first."""
        while self._end - self._start < size:
            if self._start == self._end:
                self._start = self._end = 0
            if self._start + size > len(self._buffer):
                self._make_room(size)
            # To look first is cheaper than an exception: who waits for an answer is mostly early.
            if not self._wait(until):
                return False
            if not self._greeted:
                self._greet()
                continue
            try:
                got = self._sock.recv_into(self._view[self._end :] if self._end else self._view)
            except BlockingIOError:
                continue
            if not got:
                raise EOFError("the connection ended")
            self._end += got
        return True

    def _greet(self) -> None:
        """Reads the peer's first byte, with which its shared memory comes."""
        data = b""
        fds: list[int] = []
        try:
            if HAVE_MEMFD:
                data, fds, _, _ = socket.recv_fds(self._sock, 1, 2)
            else:
                data = self._sock.recv(1)
        except BlockingIOError:
            return
        if not data:
            raise EOFError("the connection ended")
        if data != HELLO:
            raise ProtocolError("the peer does not speak this version of remotemod")
        self._greeted = True
        if len(fds) == 2:
            self._arena = Mapped(fds[0], self._freed)
            self._heap = Mapped(fds[1], self._freed, HEAP)

    def _make_room(self, size: int) -> None:
        kept = bytes(self._view[self._start : self._end])
        if size > len(self._buffer):
            self._buffer = bytearray(2 * size)
            self._view = memoryview(self._buffer)
        self._buffer[: len(kept)] = kept
        self._start, self._end = 0, len(kept)

    def _wait(self, until: float | None) -> bool:
        """Waits for bytes; False when the time is over or somebody called :meth:`wake`."""
        events: list[tuple[int, int]] | None = None
        if until == 0.0:
            events = self._poll(0)
        else:
            if self._skipped < self._skips:
                self._skipped += 1
            else:
                events = self._spin()
            if not events:
                left = None if until is None else max(0.0, (until - time.monotonic()) * 1000)
                events = self._poll(left)
        if len(events) == 1 and events[0][0] == self._fd:
            return True
        if events:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        return len(events) > 1

    def _spin(self) -> list[tuple[int, int]] | None:
        """Looks again and again for a moment before it sleeps.

        Waking a sleeping thread takes longer than a whole small call. Who looked in vain looks less often,
        so that waiting for long work, or on a crowded machine, costs next to nothing.
        """
        poll, now = self._poll, time.perf_counter
        until = now() + _SPIN
        self._skipped = 0
        while not (events := poll(0)):
            if now() >= until:
                self._skips = min(2 * self._skips + 1, _MOST_SKIPS)
                return None
        self._skips = 0
        return events

    def wake(self) -> None:
        """Makes a :meth:`receive` in another thread return."""
        with contextlib.suppress(OSError):
            os.write(self._wake_out, b"!")

    def close(self) -> None:
        """Closes what was received and never used."""
        os.close(self._wake_in)
        os.close(self._wake_out)
