"""Messages over a Unix socket: a header, small frames inline, large frames in shared slots."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from remotemod.backends.shm.memory import ALIGN, Slot, SlotMap, SlotPool, bytes_of, round_up
from remotemod.errors import ProtocolError

__all__ = ["FAILURE", "REQUEST", "RESULT", "Channel", "Message"]

REQUEST, RESULT, FAILURE = 1, 2, 3
_FREE, _DROP = 4, 5  # notes about slots; their number stands where a call's does

_PREFIX = struct.Struct("<QIIHI")  # call, bytes of header, frames, kind and flags, slot
_FRAME = struct.Struct("<QQ")  # bytes, offset in the slot or _INLINE
_INLINE = 2**64 - 1
_LIMIT = 2**32
_SHARED, _NEW = 0x8000, 0x4000
_KIND = 0x00FF

# Below this the socket's own copy is cheaper than the bookkeeping of a slot.
_LARGE = 64 * 1024
_BUFFER = 128 * 1024
_SOCKET_BUFFER = 1024 * 1024


class Message(NamedTuple):
    """What arrived: the call it belongs to, its kind, the codec's header and frames."""

    call: int
    kind: int
    header: bytes
    frames: list[Tensor]


class _Unfinished(NamedTuple):
    """A message whose inline bytes are still arriving; kept so that an interruption loses nothing."""

    prefix: tuple[int, int, int, int, int]
    header: bytes
    table: list[tuple[int, int]]
    blob: Tensor
    view: memoryview


class Channel:
    """One end of a connection. Any thread may send; one thread at a time may receive.

    Args:
        sock: a connected Unix stream socket; the channel owns it from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
        self._sock = sock
        self._sending = threading.Lock()
        self._notes: deque[bytes] = deque()
        self._pool = SlotPool()
        self._map = SlotMap()
        self._buffer = bytearray(_BUFFER)
        self._start = self._end = 0
        self._fds: deque[int] = deque()
        self._unfinished: _Unfinished | None = None
        self._filled = 0
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._readable = select.poll()
        self._readable.register(sock.fileno(), select.POLLIN)
        self._readable.register(self._wake_in, select.POLLIN)
        self._closed = False

    # --- sending ------------------------------------------------------------------------------

    def send(
        self,
        call: int,
        kind: int,
        header: bytes,
        frames: Sequence[Tensor],
        blocked: Callable[[], None] | None = None,
    ) -> None:
        """Sends one message whole.

        Args:
            call: the number of the call.
            kind: REQUEST, RESULT or FAILURE.
            header: the codec's header.
            frames: the codec's frames.
            blocked: called each time the peer does not take more; it should make room or wait.

        Raises:
            OSError: the peer is gone.
            ProtocolError: the message is too large; nothing was sent.
        """
        if len(header) >= _LIMIT or len(frames) >= _LIMIT:
            raise ProtocolError(
                f"a message of {len(header)} bytes beside its tensors is too large to send; "
                "pass large data as tensors or numpy arrays"
            )
        with self._sending:
            parts, fd = self._layout(call, kind, header, frames)
            self._send_all(parts, fd, blocked or self.wait_writable)
        if self._notes:
            self.flush()

    def post(self, call: int, kind: int, header: bytes = b"") -> None:
        """Sends a small message now or with the next one. Never blocks or raises: finalizers call this."""
        self._notes.append(_PREFIX.pack(call, len(header), 0, kind, 0) + header)
        self.flush()

    def flush(self) -> None:
        """Sends what was posted, as far as that does not block."""
        while self._notes and not self._closed:
            if not self._sending.acquire(blocking=False):
                return  # whoever sends now flushes afterwards
            try:
                note = self._notes.popleft()
                try:
                    sent = self._sock.send(note)
                except BlockingIOError:
                    self._notes.appendleft(note)
                    return
                if sent < len(note):
                    self._send_all([memoryview(note)[sent:]], -1, self.wait_writable)
            except (IndexError, OSError, ValueError):
                return
            finally:
                self._sending.release()

    def wait_writable(self) -> None:
        """Waits until the peer takes more."""
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLOUT)
        poll.poll(1000)

    def wait_either(self) -> None:
        """Waits until the peer takes more or has sent something."""
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLOUT | select.POLLIN)
        poll.poll(1000)

    def _layout(
        self, call: int, kind: int, header: bytes, frames: Sequence[Tensor]
    ) -> tuple[list[bytes | memoryview], int]:
        """The parts of a message in their order, and the descriptor to send along (or -1)."""
        if not frames:
            return [_PREFIX.pack(call, len(header), 0, kind, 0) + header], -1
        slot = self._take_slot(frames)
        table = bytearray()
        inline: list[bytes | memoryview] = []
        large: list[tuple[int, Tensor]] = []
        shared = at = 0
        for frame in frames:
            size = frame.numel()
            if slot is not None and size >= _LARGE:
                table += _FRAME.pack(size, shared)
                large.append((shared, frame))
                shared += round_up(size)
                continue
            table += _FRAME.pack(size, _INLINE)
            pad = -at % ALIGN
            if size:
                if pad:
                    inline.append(bytes(pad))
                inline.append(bytes_of(frame))
                at += pad + size
        fd = -1
        if slot is not None:
            slot.write(large)
            kind |= _SHARED
            if not slot.sent:
                slot.sent, fd = True, slot.fd
                kind |= _NEW
        number = 0 if slot is None else slot.number
        head = _PREFIX.pack(call, len(header), len(frames), kind, number)
        return [b"".join((head, table, header)), *inline], fd

    def _take_slot(self, frames: Sequence[Tensor]) -> Slot | None:
        size = sum(round_up(n) for n in (frame.numel() for frame in frames) if n >= _LARGE)
        if not size:
            return None
        return self._pool.take(size, lambda number: self._notes.append(_note(number, _DROP)))

    def _send_all(
        self, parts: list[bytes | memoryview], fd: int, blocked: Callable[[], None]
    ) -> None:
        rights = []
        if fd >= 0:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))]
        while parts:
            try:
                sent = self._sock.sendmsg(parts[:64], rights)
            except BlockingIOError:
                blocked()
                continue
            rights = []
            while parts and sent >= len(parts[0]):
                sent -= len(parts[0])
                del parts[0]
            if sent:
                parts[0] = memoryview(parts[0])[sent:]

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, until: float | None) -> Message | None:
        """The next message.

        Args:
            until: the ``time.monotonic()`` to give up at; None waits for ever.

        Returns:
            None when the time is over or :meth:`wake` was called; nothing of a message that has begun
            to arrive is lost.

        Raises:
            EOFError: the peer is gone.
            ProtocolError: what arrived is no message.
        """
        while True:
            if self._unfinished is None and not self._begin(until):
                return None
            message = self._finish(until)
            if message is None or message.kind <= FAILURE:
                return message
            if message.kind == _FREE:
                self._pool.free(message.call)
            else:
                self._map.drop(message.call)

    def _begin(self, until: float | None) -> bool:
        """Reads a message's prefix, table and header."""
        if not self._need(_PREFIX.size, until):
            return False
        prefix = _PREFIX.unpack_from(self._buffer, self._start)
        _, header_size, count, kind, _ = prefix
        if not REQUEST <= kind & _KIND <= _DROP:
            raise ProtocolError(
                f"message of unknown kind {kind}: the peer does not speak remotemod"
            )
        table_size = count * _FRAME.size
        if not self._need(_PREFIX.size + table_size + header_size, until):
            return False
        at = self._start + _PREFIX.size
        table = list(_FRAME.iter_unpack(memoryview(self._buffer)[at : at + table_size]))
        at += table_size
        header = bytes(memoryview(self._buffer)[at : at + header_size])
        self._start = at + header_size
        size = 0
        for length, offset in table:
            if offset == _INLINE and length:
                size = size + (-size % ALIGN) + length
        blob = torch.empty(size, dtype=torch.uint8)
        self._unfinished = _Unfinished(
            prefix, header, table, blob, bytes_of(blob) if size else memoryview(b"")
        )
        self._filled = 0
        return True

    def _finish(self, until: float | None) -> Message | None:
        """Reads a message's inline frames and maps its memfd."""
        unfinished = self._unfinished
        assert unfinished is not None
        prefix, header, table, blob, view = unfinished
        size = len(view)
        while self._filled < size:
            ready = min(self._end - self._start, size - self._filled)
            if ready:
                view[self._filled : self._filled + ready] = memoryview(self._buffer)[
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
        call, _, _, kind, slot = prefix
        shared = self._shared(kind, slot, table) if kind & _SHARED else None
        frames = []
        at = 0
        for length, offset in table:
            if offset != _INLINE:
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
        return Message(call, kind & _KIND, header, frames)

    def _shared(self, kind: int, slot: int, table: Sequence[tuple[int, int]]) -> object:
        """The slot of a message, as a buffer that is free again when the message's tensors have died."""
        try:
            if kind & _NEW:
                self._map.add(slot, self._fds.popleft())
            size = max(offset + length for length, offset in table if offset != _INLINE)
            return self._map.view(slot, size, self._free_slot)
        except (IndexError, KeyError, ValueError) as error:
            raise ProtocolError(f"a message names slot {slot}, which was never shared") from error

    def _free_slot(self, number: int) -> None:
        self.post(number, _FREE)

    def _need(self, size: int, until: float | None) -> bool:
        """Has ``size`` bytes in the buffer; False when the time is over first."""
        while self._end - self._start < size:
            self._make_room(size)
            try:
                got, rights, _, _ = self._sock.recvmsg_into(
                    [memoryview(self._buffer)[self._end :]], _RIGHTS_SPACE
                )
            except BlockingIOError:
                if not self._wait(until):
                    return False
                continue
            if not got:
                raise EOFError("the connection ended")
            self._end += got
            for level, kind, data in rights:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._fds.extend(struct.unpack(f"{len(data) // 4}i", data))
        return True

    def _make_room(self, size: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + size > len(self._buffer):
            kept = bytes(memoryview(self._buffer)[self._start : self._end])
            if size > len(self._buffer):
                self._buffer = bytearray(2 * size)
            self._buffer[: len(kept)] = kept
            self._start, self._end = 0, len(kept)

    def _wait(self, until: float | None) -> bool:
        """Waits for bytes; False when the time is over or somebody called :meth:`wake`."""
        left = None
        if until is not None:
            left = max(0.0, until - time.monotonic()) * 1000
            if left and left < 1:
                left = 1.0
        events = self._readable.poll(left)
        woken = any(fd == self._wake_in for fd, _ in events)
        if woken:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        return bool(events) and not (woken and len(events) == 1)

    def wake(self) -> None:
        """Makes a :meth:`receive` in another thread return."""
        with contextlib.suppress(OSError):
            os.write(self._wake_out, b"!")

    def close(self) -> None:
        """Closes the socket; the peer reads the end of the connection. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        os.close(self._wake_in)
        os.close(self._wake_out)
        self._pool.close()
        while self._fds:
            os.close(self._fds.popleft())


_RIGHTS_SPACE = socket.CMSG_SPACE(16 * 4) if hasattr(socket, "CMSG_SPACE") else 0


def _note(number: int, kind: int) -> bytes:
    return _PREFIX.pack(number, 0, 0, kind, 0)
