"""The receiving half of a channel: takes messages out of a stream of bytes, and loses none to an interruption."""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

from remotemod.backends.shm.memory import HAVE_MEMFD, PeerMemory, ReclaimedSlots
from remotemod.backends.shm.poller import Poller
from remotemod.backends.shm.protocol import (
    FRAME,
    GRAPH_MODE_SHIFT,
    HEAP_BASE,
    HELLO,
    INLINE,
    KIND_MASK,
    PREFIX,
    REQUEST,
    VALUE,
    Message,
)
from remotemod.errors import ProtocolError

__all__ = ["Receiver"]

_BUFFER = 128 * 1024


class _Incomplete(NamedTuple):
    """A message whose inline frames are still arriving; kept so that an interruption loses nothing."""

    message: Message
    table: list[tuple[int, int]]
    inline: list[bytearray]
    missing: list[memoryview]


class Receiver:
    """Reads messages from a non-blocking socket, in one thread at a time.

    Args:
        sock: the socket; closed by its owner.
        reclaimed: watches the tensors that are laid over the peer's shared memory.
    """

    def __init__(self, sock: socket.socket, reclaimed: ReclaimedSlots) -> None:
        self._sock = sock
        self._reclaimed = reclaimed
        self._poller = Poller(sock)
        self._wait = self._poller.wait
        self.wake = self._poller.wake
        self._has_hello = False
        self._arena: PeerMemory | None = None
        self._heap: PeerMemory | None = None
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # of the bytes in the buffer that were not parsed yet
        self._incomplete: _Incomplete | None = None
        # The size of a read that was not counted yet; a list, because C code can extend one.
        self._received: list[int] = []

    def receive(self, deadline: float | None) -> Message | None:
        """Returns the next message of any kind; see ``Channel.receive``."""
        if self._received:
            self._count_received()
        if self._incomplete is not None:
            return self._complete(self._incomplete, deadline)
        if self._end - self._start < PREFIX.size and not self._fill(PREFIX.size, deadline):
            return None
        call, header_size, count, kind, object_id = PREFIX.unpack_from(self._buffer, self._start)
        if not REQUEST <= kind & KIND_MASK <= VALUE:
            raise ProtocolError(
                f"message of unknown kind {kind}: the peer does not speak remotemod"
            )
        table_size = count * FRAME.size
        size = PREFIX.size + table_size + header_size
        if self._end - self._start < size and not self._fill(size, deadline):
            return None
        at, end = self._start + PREFIX.size, self._start + size
        header = bytearray(self._view[at + table_size : end])
        message = Message(
            call, kind & KIND_MASK, header, [], object_id, kind >> GRAPH_MODE_SHIFT & 3
        )
        # What follows must be whole for Ctrl-C, which comes after calls: bytes count as parsed in the same step
        # in which the message that they say is kept.
        if not count:
            self._start = end
            return message
        table = list(FRAME.iter_unpack(self._view[at : at + table_size]))
        inline = [bytearray(length) for length, offset in table if offset == INLINE]
        missing = [memoryview(buffer) for buffer in inline if buffer]
        incomplete = _Incomplete(message, table, inline, missing)
        self._start, self._incomplete = end, incomplete
        return self._complete(incomplete, deadline)

    def _complete(self, incomplete: _Incomplete, deadline: float | None) -> Message | None:
        """Reads the inline frames of a message: first what is in the buffer, then from the socket straight into them."""
        message, table, inline, missing = incomplete
        while missing:
            buffered = min(self._end - self._start, len(missing[0]))
            if buffered:
                missing[0][:buffered] = self._view[self._start : self._start + buffered]
                self._received, self._start = [buffered], self._start + buffered
                self._count_received()
                continue
            try:
                self._received.extend(map(self._sock.recv_into, missing[:1]))
            except BlockingIOError:
                if not self._wait(deadline):
                    return None
                continue
            if not self._received[0]:
                raise EOFError("the connection ended in the middle of a message")
            self._count_received()
        self._incomplete = None
        inline_frames = iter(inline)
        for length, offset in table:
            message.frames.append(
                next(inline_frames) if offset == INLINE else self._shared(offset, length)
            )
        return message

    def _shared(self, offset: int, size: int) -> memoryview:
        """The bytes of a frame that lie in the peer's shared memory."""
        memory = self._heap if offset & HEAP_BASE else self._arena
        try:
            if memory is None:
                raise ValueError("the peer has announced no shared memory")
            return memory.view(offset, size)
        except ValueError as error:
            raise ProtocolError(str(error)) from None
        except OSError as error:
            raise ProtocolError(
                f"the peer's shared memory cannot be mapped ({error}): allow more address space (ulimit -v)"
            ) from None

    def _fill(self, size: int, deadline: float | None) -> bool:
        """Reads until the buffer has ``size`` bytes; False when the deadline passes before."""
        while self._end - self._start < size:
            if self._start == self._end:
                self._start = self._end = 0
            if self._start + size > len(self._buffer):
                self._enlarge(size)
            # To poll first is cheaper than an exception: mostly the reply has not arrived yet.
            if not self._wait(deadline):
                return False
            if not self._has_hello:
                self._receive_hello()
                continue
            room = self._view[self._end :] if self._end else self._view
            try:
                # One step for Ctrl-C, which comes after calls: what was received is noted.
                self._received.extend(map(self._sock.recv_into, (room,)))
            except BlockingIOError:
                continue
            if not self._received[0]:
                raise EOFError("the connection ended")
            self._count_received()
        return True

    def _count_received(self) -> None:
        """Counts what was received, into an incomplete message or into the buffer."""
        if not self._received:
            return
        if self._incomplete is None:
            self._end, self._received = self._end + self._received[0], []
            return
        missing = self._incomplete.missing
        left = missing[0][self._received[0] :]
        missing[:1], self._received = [left] if left else [], []

    def _receive_hello(self) -> None:
        """Reads the peer's first byte, with which the descriptors of its shared memory come."""
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
        self._has_hello = True
        if len(fds) == 2:
            self._arena = PeerMemory(fds[0], self._reclaimed)
            self._heap = PeerMemory(fds[1], self._reclaimed, HEAP_BASE)
            with contextlib.suppress(OSError):  # then the first frame there raises it
                self._arena.map()

    def _enlarge(self, size: int) -> None:
        buffer = bytearray(max(_BUFFER, 2 * size))
        count = self._end - self._start
        buffer[:count] = self._view[self._start : self._end]
        view = memoryview(buffer)
        self._buffer, self._view, self._start, self._end = buffer, view, 0, count

    def close(self) -> None:
        """Closes the poller, and descriptors that were received and never mapped."""
        self._poller.close()
        for memory in (self._arena, self._heap):
            if memory is not None:
                memory.close()
