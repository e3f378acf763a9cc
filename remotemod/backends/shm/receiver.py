"""The receiving half of a channel: messages out of a stream of bytes, with nothing lost between."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import NamedTuple

from remotemod.backends.shm.frames import (
    FRAME,
    HEAP,
    INLINE,
    KIND,
    PREFIX,
    RECORDING,
    REQUEST,
    VALUE,
    Message,
)
from remotemod.backends.shm.memory import HAVE_MEMFD, Deaths, Mapped
from remotemod.backends.shm.sender import HELLO
from remotemod.errors import ProtocolError

__all__ = ["Receiver"]

_BUFFER = 128 * 1024
_SPIN = 1e-3
"""Seconds to look before sleeping.

On a quiet virtual machine to be woken takes up to 100 µs, and who is late for that reason makes the other one sleep
too: with 100 µs of looking, whole runs of small calls took 270 µs instead of 70, and with 500 µs those of 4 MiB 790
instead of 620. To yield between looks gives a whole time slice away (seen as stalls of 4 ms)."""
_MOST_SKIPS = 127
_LONG = 20 * _SPIN
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Unfinished(NamedTuple):
    """A message whose inline frames are still arriving; kept so that an interruption loses nothing."""

    message: Message
    table: list[tuple[int, int]]
    inline: list[bytearray]
    missing: list[memoryview]


class Receiver:
    """Reads messages from a non-blocking socket, in one thread at a time.

    Args:
        sock: the socket; somebody else closes it.
        deaths: watches what is laid over the peer's shared memory.
    """

    def __init__(self, sock: socket.socket, deaths: Deaths) -> None:
        self._sock = sock
        self._deaths = deaths
        self._greeted = False
        self._arena: Mapped | None = None
        self._heap: Mapped | None = None
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._unfinished: _Unfinished | None = None
        self._got: list[int] = []
        self._missed = 0.0
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
        if self._got:
            self._settle()
        if self._unfinished is not None:
            return self._finish(self._unfinished, until)
        if self._end - self._start < PREFIX.size and not self._need(PREFIX.size, until):
            return None
        call, header_size, count, kind, endpoint = PREFIX.unpack_from(self._buffer, self._start)
        if not REQUEST <= kind & KIND <= VALUE:
            raise ProtocolError(
                f"message of unknown kind {kind}: the peer does not speak remotemod"
            )
        table_size = count * FRAME.size
        size = PREFIX.size + table_size + header_size
        if self._end - self._start < size and not self._need(size, until):
            return None
        at, end = self._start + PREFIX.size, self._start + size
        header = bytearray(self._view[at + table_size : end])
        message = Message(call, kind & KIND, header, [], endpoint, kind >> RECORDING & 3)
        # What follows must be whole for Ctrl-C, which comes after calls: bytes count as read in the same step
        # as what they say is kept.
        if not count:
            self._start = end
            return message
        table = list(FRAME.iter_unpack(self._view[at : at + table_size]))
        inline = [bytearray(length) for length, place in table if place == INLINE]
        missing = [memoryview(buffer) for buffer in inline if buffer]
        unfinished = _Unfinished(message, table, inline, missing)
        self._start, self._unfinished = end, unfinished
        return self._finish(unfinished, until)

    def _finish(self, unfinished: _Unfinished, until: float | None) -> Message | None:
        """Reads a message's inline frames; first what was read too far, then straight to their place."""
        message, table, inline, missing = unfinished
        while missing:
            here = min(self._end - self._start, len(missing[0]))
            if here:
                missing[0][:here] = self._view[self._start : self._start + here]
                self._got, self._start = [here], self._start + here
                self._settle()
                continue
            try:
                self._got.extend(map(self._sock.recv_into, missing[:1]))
            except BlockingIOError:
                if not self._wait(until):
                    return None
                continue
            if not self._got[0]:
                raise EOFError("the connection ended in the middle of a message")
            self._settle()
        self._unfinished = None
        left = iter(inline)
        for length, place in table:
            message.frames.append(next(left) if place == INLINE else self._at(place, length))
        return message

    def _at(self, place: int, size: int) -> memoryview:
        memory = self._heap if place & HEAP else self._arena
        try:
            if memory is None:
                raise ValueError("the peer has announced no shared memory")
            return memory.at(place, size)
        except ValueError as error:
            raise ProtocolError(str(error)) from None
        except OSError as error:
            raise ProtocolError(
                f"the peer's shared memory cannot be mapped ({error}): allow more address space (ulimit -v)"
            ) from None

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
            room = self._view[self._end :] if self._end else self._view
            try:
                # One step for Ctrl-C, which comes after calls: what has come is noted.
                self._got.extend(map(self._sock.recv_into, (room,)))
            except BlockingIOError:
                continue
            if not self._got[0]:
                raise EOFError("the connection ended")
            self._settle()
        return True

    def _settle(self) -> None:
        """Counts what has come, for an unfinished message or into the buffer."""
        if not self._got:
            return
        if self._unfinished is None:
            self._end, self._got = self._end + self._got[0], []
            return
        missing = self._unfinished.missing
        left = missing[0][self._got[0] :]
        missing[:1], self._got = [left] if left else [], []

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
            self._arena = Mapped(fds[0], self._deaths)
            self._heap = Mapped(fds[1], self._deaths, HEAP)
            with contextlib.suppress(OSError):  # then a frame tells
                self._arena.map()

    def _make_room(self, size: int) -> None:
        buffer = bytearray(max(_BUFFER, 2 * size))
        count = self._end - self._start
        buffer[:count] = self._view[self._start : self._end]
        view = memoryview(buffer)
        self._buffer, self._view, self._start, self._end = buffer, view, 0, count

    def _wait(self, until: float | None) -> bool:
        """Waits for bytes; False when the time is over or somebody called :meth:`wake`."""
        events: list[tuple[int, int]] = []
        if until == 0.0:
            events = self._poll(0)
        else:
            if self._skipped < self._skips:
                self._skipped += 1
            else:
                events = self._spin()
            if not events:
                events = self._sleep(until)
        if len(events) == 1 and events[0][0] == self._fd:
            return True
        if events:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        return len(events) > 1

    def _spin(self) -> list[tuple[int, int]]:
        """Looks again and again for a moment before it sleeps; to wake a sleeper takes longer than a small call."""
        poll, now = self._poll, time.perf_counter
        until = now() + _SPIN
        self._skipped = 0
        while not (events := poll(0)):
            if now() >= until:
                self._missed = until
                return events
        self._skips = 0
        return events

    def _sleep(self, until: float | None) -> list[tuple[int, int]]:
        """Waits without looking.

        Who has looked in vain looks less often, so that waiting for long work, or on a crowded machine,
        costs next to nothing. After a long wait the look was cheap: nothing changes then.
        """
        left = None if until is None else max(0.0, (until - time.monotonic()) * 1000)
        events = self._poll(left)
        if self._missed:
            if time.perf_counter() - self._missed < _LONG:
                self._skips = min(2 * self._skips + 1, _MOST_SKIPS)
            self._missed = 0.0
        return events

    def wake(self) -> None:
        """Makes a :meth:`receive` in another thread return."""
        with contextlib.suppress(OSError):
            os.write(self._wake_out, b"!")

    def close(self) -> None:
        """Closes what was received and never used."""
        os.close(self._wake_in)
        os.close(self._wake_out)
        for memory in (self._arena, self._heap):
            if memory is not None:
                memory.close()
