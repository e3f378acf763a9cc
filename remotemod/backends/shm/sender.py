"""The sending half of a channel: whole messages from any thread, notes from finalizers."""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from remotemod.backends.shm.arena import Arena
from remotemod.backends.shm.frames import (
    FRAME,
    FREE,
    HEAP,
    INLINE,
    LARGE,
    LIMIT,
    PREFIX,
    note,
    pack_places,
)
from remotemod.backends.shm.heap import heap
from remotemod.backends.shm.memory import Deaths
from remotemod.backends.shm.reader_lock import ReaderLock
from remotemod.errors import ProtocolError

__all__ = ["HELLO", "Blocked", "Sender"]

HELLO = b"\x01"
"""The first byte of each direction; with it come the descriptors of the arena and of the heap."""

Blocked = Callable[["float | None"], None]
"""Waits, or makes room, while the peer takes no more; told the ``time.monotonic()`` to give up at."""


class Sender:
    """Writes messages to a non-blocking socket.

    Args:
        sock: the socket; somebody else closes it.
        limit: bytes of the arena.
        deaths: what died here of the peer's shared memory.
    """

    def __init__(self, sock: socket.socket, limit: int, deaths: Deaths) -> None:
        self._sock = sock
        self._turn = ReaderLock()
        self._notes: deque[bytes] = deque()
        # Word of them goes along with the next message: to wake the peer for it alone would be dear.
        self._deaths = deaths
        # What the peer has not taken yet, less what was sent of it and not noted: to the byte, so that an
        # interruption loses nothing.
        self._rest: list[bytes | memoryview] = []
        self._sent: list[int] = []
        self._closed = False
        self.arena = Arena(limit)
        self._heap = heap()
        self._lent: Counter[int] = Counter()
        self._lending = threading.Lock()
        shared = (self.arena.shared, self._heap.shared)
        fds = [memory.fd for memory in shared if memory.size]
        with contextlib.suppress(OSError):  # the peer is gone: who sends first hears of it
            if len(fds) == 2:
                socket.send_fds(sock, [HELLO], fds)
            else:
                sock.send(HELLO)
        self.arena.shared.close()

    def send(
        self,
        call: int,
        kind: int,
        header: bytes,
        frames: Sequence[Tensor] = (),
        endpoint: int = 0,
        blocked: Blocked | None = None,
        until: float | None = None,
    ) -> bool:
        """Sends one message whole.

        Args:
            call: the number of the call.
            kind: the message's kind, with its flags.
            header: the codec's header.
            frames: the codec's frames: contiguous CPU tensors.
            route: the route of a CALL.
            blocked: what to do while the peer takes no more; by default to wait.
            until: the ``time.monotonic()`` to give up at.

        Returns:
            False if the time was over before the peer took any of it: nothing was sent. What it has begun to
            take goes to its end, later if not now.

        Raises:
            OSError: the peer is gone.
            ProtocolError: the message is too large; nothing was sent.
        """
        if len(header) >= LIMIT or len(frames) >= LIMIT:
            raise ProtocolError(
                f"a message of {len(header)} bytes beside its tensors is too large to send; "
                "pass large data as tensors or numpy arrays"
            )
        turn, me = self._turn, threading.get_ident()
        try:
            if not turn.try_take() and not turn.take(until):
                return False
            if frames:
                sent = self._send_framed(call, kind, header, frames, endpoint, blocked, until)
            else:
                data = note(kind, call, header, endpoint)
                sent = self._send_parts([data], [], blocked, until)
            if self.arena.committed:
                self.arena.age()
        finally:
            if turn.holder == me:
                turn.holder = 0
            turn.notify()
        if self._notes:
            self.flush()
        return sent

    def post(self, number: int, kind: int, header: bytes = b"") -> None:
        """Sends a small message now or with the next one. Never blocks or raises: finalizers call this."""
        self._notes.append(note(kind, number, header))
        self.flush()

    def taken_back(self, places: Iterable[int]) -> None:
        """The peer has nothing over these places of ours any more."""
        for place in places:
            if not place & HEAP:
                self.arena.free(place)
                continue
            with self._lending:
                known = self._lent[place] > 0
                self._lent[place] -= known
            if known:
                self._heap.release(place - HEAP)

    def flush(self) -> None:
        """Sends what was posted, as far as that does not block."""
        turn, me = self._turn, threading.get_ident()
        while self._notes and not self._closed:
            if turn.holder == me:
                return  # in a finalizer, in the middle of a send
            try:
                if not turn.try_take():
                    return  # whoever sends now flushes afterwards
                self._take_notes()
                if not self._write(self.wait_writable, until=0.0):
                    return
            except (OSError, ValueError):
                return
            finally:
                if turn.holder == me:
                    turn.holder = 0
                turn.notify()

    # --- with the turn ------------------------------------------------------------------------

    def _send_parts(
        self,
        parts: list[bytes | memoryview],
        places: list[int],
        blocked: Blocked | None,
        until: float | None,
    ) -> bool:
        if self._notes or self._deaths.dead:
            self._take_notes()
        self._rest = [*self._rest, *parts] if self._rest else parts
        done = False
        try:
            done = self._write(blocked or self.wait_writable, until)
        finally:
            if not done and self._begun(parts):
                # The peer has a part of it and gets the others. Their memory is the caller's, who may write
                # to it from now on.
                self._rest = list(map(bytes, self._rest))
                done = True
            elif not done:
                self._rest = self._rest[: -len(parts)]
                self.taken_back(places)
        return done

    def _write(self, blocked: Blocked, until: float | None) -> bool:
        """Writes all that is left to write; False when the time is over first."""
        self._settle()
        while self._rest:
            part = self._rest[0]
            try:
                # One step for Ctrl-C, which comes after calls: what is sent is noted.
                if len(self._rest) == 1:
                    self._sent.extend(map(self._sock.send, (part,)))
                else:
                    self._sent.extend(map(self._sock.sendmsg, (self._rest[:64],)))
            except BlockingIOError:
                if until is not None and time.monotonic() >= until:
                    return False
                blocked(until)
                continue
            if self._sent[0] == len(part) and len(self._rest) == 1:
                self._rest, self._sent = [], []
            else:
                self._settle()
        return True

    def _settle(self) -> None:
        """Forgets of the rest what was sent."""
        if not self._sent:
            return
        left, index, rest = self._sent[0], 0, self._rest
        while index < len(rest) and left >= len(rest[index]):
            left -= len(rest[index])
            index += 1
        rest = rest[index:]
        if left:
            rest[0] = memoryview(rest[0])[left:]
        self._rest, self._sent = rest, []

    def _begun(self, parts: list[bytes | memoryview]) -> bool:
        """Whether the peer has taken some of a message that is the last in the rest."""
        self._settle()
        return len(self._rest) < len(parts) or self._rest[-len(parts)] is not parts[0]

    def _take_notes(self) -> None:
        self._settle()
        if self._deaths.dead:
            self._rest.append(note(FREE, 0, pack_places(self._deaths.collect())))
        while self._notes:
            self._rest.append(self._notes.popleft())

    def _send_framed(
        self,
        call: int,
        kind: int,
        header: bytes,
        frames: Sequence[Tensor],
        endpoint: int,
        blocked: Blocked | None,
        until: float | None,
    ) -> bool:
        table = bytearray()
        parts: list[bytes | memoryview] = [b""]
        places: list[int] = []
        try:
            for frame in frames:
                size, address = frame.nbytes, frame.data_ptr()
                place = self._place(address, size) if size >= LARGE else None
                if place is not None:
                    places.append(place)
                elif size:
                    parts.append(
                        memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
                    )
                table += FRAME.pack(size, INLINE if place is None else place)
        except BaseException:  # Ctrl-C while it copies
            self.taken_back(places)
            raise
        head = PREFIX.pack(call, len(header), len(frames), kind, endpoint)
        parts[0] = b"".join((head, table, header))
        return self._send_parts(parts, places, blocked, until)

    def _place(self, address: int, size: int) -> int | None:
        """Where the peer finds these bytes: where they are already, or where they are copied to."""
        place = self._heap.lend(address)
        if place is None:
            return self.arena.write(address, size)
        place += HEAP
        with self._lending:
            self._lent[place] += 1
        return place

    # --- waiting ------------------------------------------------------------------------------

    def wait_writable(self, until: float | None, events: int = select.POLLOUT) -> None:
        """Waits until the peer takes more; for a second at most."""
        poll = select.poll()
        poll.register(self._sock.fileno(), events)
        left = 1.0 if until is None else min(1.0, max(0.0, until - time.monotonic()))
        poll.poll(left * 1000)

    def wait_either(self, until: float | None) -> None:
        """Waits until the peer takes more or has sent something; for a second at most."""
        self.wait_writable(until, select.POLLOUT | select.POLLIN)

    def disown(self) -> None:
        """Sends nothing any more."""
        self._closed = True

    def close(self) -> None:
        """Sends nothing any more; what the peer had of the heap is ours again."""
        self.disown()
        self.taken_back(list(self._lent.elements()))
