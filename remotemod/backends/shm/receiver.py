"""The receiving half of a channel: messages out of a stream of bytes, with nothing lost between."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from remotemod.backends.shm.frames import (
    FRAME,
    GRAD,
    INLINE,
    KIND,
    NEW,
    PREFIX,
    REQUEST,
    SHARED,
    VALUE,
    Message,
)
from remotemod.backends.shm.memory import ALIGN, SlotMap, bytes_of
from remotemod.errors import ProtocolError

__all__ = ["Receiver"]

_BUFFER = 128 * 1024
_SPIN = 100e-6
"""Seconds to look before sleeping: about a small call and its answer.

More would help calls of some 100 KiB on a quiet machine, and hurt on a crowded one, where who looks keeps others from
their turn; and to yield between looks gives a whole time slice away (both seen as stalls of 4 ms)."""
_MOST_SKIPS = 63
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_RIGHTS_SPACE = socket.CMSG_SPACE(16 * 4) if hasattr(socket, "CMSG_SPACE") else 0


class _Unfinished(NamedTuple):
    """A message whose inline bytes are still arriving; kept so that an interruption loses nothing."""

    prefix: tuple[int, int, int, int, int, int]
    header: bytes
    table: list[tuple[int, int]]
    blob: Tensor
    view: memoryview


class Receiver:
    """Reads messages from a non-blocking socket, in one thread at a time.

    Args:
        sock: the socket; somebody else closes it.
        free: told the number of a slot when the last tensor in it has died.
    """

    def __init__(self, sock: socket.socket, free: Callable[[int], None]) -> None:
        self._sock = sock
        self._free = free
        self.slots = SlotMap()
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._fds: deque[int] = deque()
        self._unfinished: _Unfinished | None = None
        self._filled = 0
        # On one core nothing comes while this thread looks.
        self._skips = self._skipped = 0 if _CORES > 1 else _MOST_SKIPS
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._readable = select.poll()
        self._readable.register(sock.fileno(), select.POLLIN)
        self._readable.register(self._wake_in, select.POLLIN)

    def receive(self, until: float | None) -> Message | None:
        """The next message, notes among them; see ``Channel.receive``."""
        if self._unfinished is None:
            begun = self._begin(until)
            if self._unfinished is None:
                return begun
        return self._finish(until)

    def _begin(self, until: float | None) -> Message | None:
        """Reads a message's prefix, table and header; the message itself where nothing else follows."""
        if not self._need(PREFIX.size, until):
            return None
        prefix = PREFIX.unpack_from(self._buffer, self._start)
        call, header_size, count, kind, _, route = prefix
        if not count and REQUEST <= kind & KIND <= VALUE:
            size = PREFIX.size + header_size
            if not self._need(size, until):
                return None
            start = self._start + PREFIX.size
            self._start = end = start + header_size
            return Message(
                call, kind & KIND, bytes(self._view[start:end]), [], route, bool(kind & GRAD)
            )
        if not REQUEST <= kind & KIND <= VALUE:
            raise ProtocolError(
                f"message of unknown kind {kind}: the peer does not speak remotemod"
            )
        table_size = count * FRAME.size
        if not self._need(PREFIX.size + table_size + header_size, until):
            return None
        at = self._start + PREFIX.size
        table = list(FRAME.iter_unpack(self._view[at : at + table_size]))
        at += table_size
        header = bytes(self._view[at : at + header_size])
        self._start = at + header_size
        size = 0
        for length, offset in table:
            if offset == INLINE and length:
                size = size + (-size % ALIGN) + length
        blob = torch.empty(size, dtype=torch.uint8)
        self._unfinished = _Unfinished(
            prefix, header, table, blob, bytes_of(blob) if size else memoryview(b"")
        )
        self._filled = 0
        return None

    def _finish(self, until: float | None) -> Message | None:
        """Reads a message's inline frames and maps its memfd."""
        unfinished = self._unfinished
        assert unfinished is not None
        prefix, header, table, blob, view = unfinished
        size = len(view)
        while self._filled < size:
            ready = min(self._end - self._start, size - self._filled)
            if ready:
                view[self._filled : self._filled + ready] = self._view[
                    self._start : self._start + ready
                ]
                self._start += ready
                self._filled += ready
                continue
            try:
                got = self._sock.recv_into(view[self._filled :])
            except BlockingIOError:
                if not self._wait(until):
                    return None
                continue
            if not got:
                raise EOFError("the connection ended in the middle of a message")
            self._filled += got
        self._unfinished = None
        call, _, _, kind, slot, route = prefix
        shared = self._shared(kind, slot, table) if kind & SHARED else None
        frames = []
        at = 0
        for length, offset in table:
            if offset != INLINE:
                if shared is None:
                    raise ProtocolError("a message names shared memory that did not come with it")
                frames.append(
                    torch.frombuffer(shared, dtype=torch.uint8, count=length, offset=offset)
                )
            elif length:
                at += -at % ALIGN
                # The only inline frame is the whole of the bytes that arrived.
                frames.append(blob if length == size else blob[at : at + length])
                at += length
            else:
                frames.append(torch.empty(0, dtype=torch.uint8))
        return Message(call, kind & KIND, header, frames, route, bool(kind & GRAD))

    def _shared(self, kind: int, slot: int, table: Sequence[tuple[int, int]]) -> object:
        """The slot of a message, as a buffer that is free again when the message's tensors have died."""
        try:
            if kind & NEW:
                self.slots.add(slot, self._fds.popleft())
            size = max(offset + length for length, offset in table if offset != INLINE)
            return self.slots.view(slot, size, self._free)
        except (IndexError, KeyError, ValueError) as error:
            raise ProtocolError(f"a message names slot {slot}, which was never shared") from error

    def _need(self, size: int, until: float | None) -> bool:
        """Has ``size`` bytes in the buffer; False when the time is over first."""
        while self._end - self._start < size:
            self._make_room(size)
            # To look first is cheaper than an exception: who waits for an answer is mostly early.
            if not self._wait(until):
                return False
            try:
                got, rights, _, _ = self._sock.recvmsg_into(
                    [self._view[self._end :]], _RIGHTS_SPACE
                )
            except BlockingIOError:
                continue
            if not got:
                raise EOFError("the connection ended")
            self._end += got
            for level, kind, data in rights or ():
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._fds.extend(struct.unpack(f"{len(data) // 4}i", data))
        return True

    def _make_room(self, size: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + size > len(self._buffer):
            kept = bytes(self._view[self._start : self._end])
            if size > len(self._buffer):
                self._buffer = bytearray(2 * size)
                self._view = memoryview(self._buffer)
            self._buffer[: len(kept)] = kept
            self._start, self._end = 0, len(kept)

    def _wait(self, until: float | None) -> bool:
        """Waits for bytes; False when the time is over or somebody called :meth:`wake`."""
        left = None
        if until is not None:
            left = max(0.0, until - time.monotonic()) * 1000
            if left and left < 1:
                left = 1.0
        events = self._spin() if left is None or left > 0 else None
        if not events:
            events = self._readable.poll(left)
        woken = any(fd == self._wake_in for fd, _ in events)
        if woken:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        return bool(events) and not (woken and len(events) == 1)

    def _spin(self) -> list[tuple[int, int]] | None:
        """Looks again and again for a moment before it sleeps.

        Waking a sleeping thread takes longer than a whole small call. Who looked in vain looks less often,
        so that waiting for long work, or on a crowded machine, costs next to nothing.
        """
        if self._skipped < self._skips:
            self._skipped += 1
            return None
        self._skipped = 0
        poll, until = self._readable.poll, time.perf_counter() + _SPIN
        while not (events := poll(0)):
            if time.perf_counter() >= until:
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
        while self._fds:
            os.close(self._fds.popleft())
