"""The sending half of a channel: whole messages from any thread, small ones from finalizers."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from remotemod.backends.shm.arena import Arena
from remotemod.backends.shm.heap import heap
from remotemod.backends.shm.interrupt_safe_lock import InterruptSafeLock
from remotemod.backends.shm.memory import ReclaimedSlots
from remotemod.backends.shm.protocol import (
    FRAME,
    FREE,
    HEAP_BASE,
    HELLO,
    INLINE,
    LARGE,
    LIMIT,
    PREFIX,
    pack_message,
    pack_offsets,
)
from remotemod.backends.shm.send_buffer import Part, SendBuffer, WhenFull
from remotemod.errors import ProtocolError

__all__ = ["Sender"]


class Sender:
    """Writes messages to a non-blocking socket.

    Args:
        sock: the socket; closed by its owner.
        limit: bytes of the arena.
        reclaimed: the offsets of the peer's shared memory over which no tensor of this process lies any more.
    """

    def __init__(self, sock: socket.socket, limit: int, reclaimed: ReclaimedSlots) -> None:
        self._sock = sock
        self._lock = InterruptSafeLock()
        self._buffer = SendBuffer(sock)
        self._posted: deque[bytes] = deque()
        # Sent along with the next message: to wake the peer for them alone would cost too much.
        self._reclaimed = reclaimed
        self._closed = False
        self.arena = Arena(limit)
        self._heap = heap()
        self._lent: Counter[int] = Counter()
        self._lent_lock = threading.Lock()
        fds = [memory.fd for memory in (self.arena.memory, self._heap.memory) if memory.size]
        with contextlib.suppress(OSError):  # the peer is gone: the first send raises it
            if len(fds) == 2:
                socket.send_fds(sock, [HELLO], fds)
            else:
                sock.send(HELLO)
        self.arena.memory.close()

    def send(
        self,
        call: int,
        kind: int,
        header: bytes,
        frames: Sequence[Tensor] = (),
        object_id: int = 0,
        when_full: WhenFull | None = None,
        deadline: float | None = None,
    ) -> bool:
        """Sends one message whole.

        Args:
            call: the number of the call.
            kind: the kind of the message, with the graph mode of a CALL.
            header: the packed values.
            frames: their tensors: contiguous, on the CPU.
            object_id: see :class:`remotemod.backends.shm.protocol.Message`.
            when_full: what to do while the socket is full; by default to wait.
            deadline: the ``time.monotonic()`` to give up at; None for never.

        Returns:
            False if the deadline passed before the socket took any of it: nothing was sent. A message that
            has begun goes out to its end, with later ones if not now.

        Raises:
            OSError: the peer is gone.
            ProtocolError: the message is too large; nothing was sent.
        """
        if len(header) >= LIMIT or len(frames) >= LIMIT:
            raise ProtocolError(
                f"a message of {len(header)} bytes beside its tensors is too large to send; "
                "pass large data as tensors or numpy arrays"
            )
        lock, me = self._lock, threading.get_ident()
        withdrawn: Callable[[], object] | None = None
        try:
            if not lock.try_acquire() and not lock.acquire(deadline):
                return False
            if frames:
                parts, offsets = self._with_frames(call, kind, header, frames, object_id)
                withdrawn = functools.partial(self.release, offsets)
            else:
                parts = [pack_message(kind, call, header, object_id)]
            if self._posted or self._reclaimed.pending:
                self._append_posted()
            sent = self._buffer.send(parts, when_full or self.wait_writable, deadline, withdrawn)
            if self.arena.committed:
                self.arena.count_message()
        finally:
            if lock.holder == me:
                lock.holder = 0
            lock.notify()
        if self._posted:
            self._flush()
        return sent

    def post(self, call: int, kind: int, header: bytes = b"") -> None:
        """Sends a small message, now or with the next one. Never blocks and never raises: finalizers call this."""
        self._posted.append(pack_message(kind, call, header))
        self._flush()

    def release(self, offsets: Iterable[int]) -> None:
        """Frees memory of this process at offsets over which the peer has nothing any more."""
        for offset in offsets:
            if not offset & HEAP_BASE:
                self.arena.free(offset)
                continue
            with self._lent_lock:
                is_lent = self._lent[offset] > 0
                self._lent[offset] -= is_lent
            if is_lent:
                self._heap.release(offset - HEAP_BASE)

    def _flush(self) -> None:
        """Sends what was posted, as far as that does not block."""
        lock, me = self._lock, threading.get_ident()
        while self._posted and not self._closed:
            if lock.holder == me:
                return  # in a finalizer, in the middle of a send
            try:
                if not lock.try_acquire():
                    return  # the thread that sends flushes afterwards
                self._append_posted()
                if not self._buffer.flush(self.wait_writable, deadline=0.0):
                    return
            except (OSError, ValueError):
                return
            finally:
                if lock.holder == me:
                    lock.holder = 0
                lock.notify()

    # --- with the lock ------------------------------------------------------------------------

    def _append_posted(self) -> None:
        if self._reclaimed.pending:
            offsets = pack_offsets(self._reclaimed.collect())
            self._posted.appendleft(pack_message(FREE, 0, offsets))
        self._buffer.append(self._posted)

    def _with_frames(
        self, call: int, kind: int, header: bytes, frames: Sequence[Tensor], object_id: int
    ) -> tuple[list[Part], list[int]]:
        """A message with frames: its parts for the socket, and the offsets of the frames in shared memory."""
        table = bytearray()
        parts: list[Part] = [b""]
        offsets: list[int] = []
        try:
            for frame in frames:
                size, address = frame.nbytes, frame.data_ptr()
                offset = self._share(address, size) if size >= LARGE else None
                if offset is not None:
                    offsets.append(offset)
                elif size:
                    parts.append(
                        memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
                    )
                table += FRAME.pack(size, INLINE if offset is None else offset)
        except BaseException:  # Ctrl-C while it copies
            self.release(offsets)
            raise
        prefix = PREFIX.pack(call, len(header), len(frames), kind, object_id)
        parts[0] = b"".join((prefix, table, header))
        return parts, offsets

    def _share(self, address: int, size: int) -> int | None:
        """The offset of bytes in shared memory, where they are already or are copied to; None where there is no room."""
        offset = self._heap.lend(address)
        if offset is None:
            return self.arena.write(address, size)
        offset += HEAP_BASE
        with self._lent_lock:
            self._lent[offset] += 1
        return offset

    # --- waiting ------------------------------------------------------------------------------

    def wait_writable(self, deadline: float | None, events: int = select.POLLOUT) -> None:
        """Waits until the socket takes more; for a second at most."""
        poll = select.poll()
        poll.register(self._sock.fileno(), events)
        left = 1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic()))
        poll.poll(left * 1000)

    def wait_either(self, deadline: float | None) -> None:
        """Waits until the socket takes more or the peer has sent something; for a second at most."""
        self.wait_writable(deadline, select.POLLOUT | select.POLLIN)

    def disown(self) -> None:
        """Sends nothing any more: the connection is another process's."""
        self._closed = True

    def close(self) -> None:
        """Sends nothing any more, and releases what the peer had of the heap."""
        self.disown()
        self.release(list(self._lent.elements()))
