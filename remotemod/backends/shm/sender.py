"""The sending half of a channel: whole messages from any thread, notes from finalizers."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence

from torch import Tensor

from remotemod.backends.shm.frames import (
    DROP,
    FRAME,
    INLINE,
    LARGE,
    LIMIT,
    NEW,
    PREFIX,
    SHARED,
    note,
)
from remotemod.backends.shm.memory import ALIGN, Slot, SlotPool, bytes_of, round_up
from remotemod.errors import ProtocolError

__all__ = ["Sender"]


class Sender:
    """Writes messages to a non-blocking socket.

    Args:
        sock: the socket; somebody else closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._notes: deque[bytes] = deque()
        self._closed = False
        self.pool = SlotPool()

    def send(
        self,
        call: int,
        kind: int,
        header: bytes,
        frames: Sequence[Tensor],
        blocked: Callable[[], None] | None = None,
        route: int = 0,
    ) -> None:
        """Sends one message whole.

        Args:
            call: the number of the call.
            kind: REQUEST, RESULT or FAILURE.
            header: the codec's header.
            frames: the codec's frames.
            blocked: called each time the peer does not take more; it should make room or wait.
            route: the route of a CALL.

        Raises:
            OSError: the peer is gone.
            ProtocolError: the message is too large; nothing was sent.
        """
        if len(header) >= LIMIT or len(frames) >= LIMIT:
            raise ProtocolError(
                f"a message of {len(header)} bytes beside its tensors is too large to send; "
                "pass large data as tensors or numpy arrays"
            )
        with self._lock:
            if frames:
                parts, fd = self._layout(call, kind, header, frames, route)
                self._send_all(parts, fd, blocked or self.wait_writable)
            else:
                self._send_small(note(kind, call, header, route), blocked)
        if self._notes:
            self.flush()

    def post(self, call: int, kind: int, header: bytes = b"") -> None:
        """Sends a small message now or with the next one. Never blocks or raises: finalizers call this."""
        self._notes.append(note(kind, call, header))
        self.flush()

    def flush(self) -> None:
        """Sends what was posted, as far as that does not block."""
        while self._notes and not self._closed:
            if not self._lock.acquire(blocking=False):
                return  # whoever sends now flushes afterwards
            try:
                posted = self._notes.popleft()
                try:
                    sent = self._sock.send(posted)
                except BlockingIOError:
                    self._notes.appendleft(posted)
                    return
                if sent < len(posted):
                    self._send_all([memoryview(posted)[sent:]], -1, self.wait_writable)
            except (IndexError, OSError, ValueError):
                return
            finally:
                self._lock.release()

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
        self, call: int, kind: int, header: bytes, frames: Sequence[Tensor], route: int
    ) -> tuple[list[bytes | memoryview], int]:
        """The parts of a message in their order, and the descriptor to send along (or -1)."""
        slot = self._take_slot(frames)
        table = bytearray()
        inline: list[bytes | memoryview] = []
        large: list[tuple[int, Tensor]] = []
        shared = at = 0
        for frame in frames:
            size = frame.numel()
            if slot is not None and size >= LARGE:
                table += FRAME.pack(size, shared)
                large.append((shared, frame))
                shared += round_up(size)
                continue
            table += FRAME.pack(size, INLINE)
            pad = -at % ALIGN
            if size:
                if pad:
                    inline.append(bytes(pad))
                inline.append(bytes_of(frame))
                at += pad + size
        fd = -1
        if slot is not None:
            slot.write(large)
            kind |= SHARED
            if not slot.sent:
                slot.sent, fd = True, slot.fd
                kind |= NEW
        number = 0 if slot is None else slot.number
        head = PREFIX.pack(call, len(header), len(frames), kind, number, route)
        return [b"".join((head, table, header)), *inline], fd

    def _send_small(self, data: bytes, blocked: Callable[[], None] | None) -> None:
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_all([memoryview(data)[sent:]], -1, blocked or self.wait_writable)

    def _take_slot(self, frames: Sequence[Tensor]) -> Slot | None:
        size = sum(round_up(n) for n in (frame.numel() for frame in frames) if n >= LARGE)
        if not size:
            return None
        return self.pool.take(size, lambda number: self._notes.append(note(DROP, number)))

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

    def close(self) -> None:
        """Sends nothing any more, and gives the slots back."""
        self._closed = True
        self.pool.close()
