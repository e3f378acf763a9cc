"""What the socket has not taken yet, known to the byte, so that a deadline or Ctrl-C in the middle loses nothing."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Part", "SendBuffer", "WhenFull"]

Part = bytes | memoryview
"""Bytes of a message, or the memory in which they lie."""

WhenFull = Callable[["float | None"], None]
"""Waits, or makes room, while the socket is full; the argument is the ``time.monotonic()`` to give up at."""


class SendBuffer:
    """The bytes on their way into a non-blocking socket; used by one thread at a time.

    Args:
        sock: the socket; closed by its owner.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unsent: list[Part] = []
        # The size of a write that was not removed from these yet; a list, because C code can extend one.
        self._sent: list[int] = []

    def append(self, messages: deque[bytes]) -> None:
        """Takes small messages out of a queue, to be sent with the next one."""
        self._remove_sent()
        while messages:
            self._unsent.append(messages.popleft())

    def send(
        self,
        parts: list[Part],
        when_full: WhenFull,
        deadline: float | None,
        withdrawn: Callable[[], object] | None = None,
    ) -> bool:
        """Sends a message behind what is left of the others.

        Args:
            parts: the message; the list is the buffer's from now on.
            when_full: called while the socket is full.
            deadline: the ``time.monotonic()`` to give up at; None for never.
            withdrawn: called where the socket has taken none of the message and never will, for whatever reason.

        Returns:
            False if the deadline passed before the socket took any of it. A message that has begun counts as sent: its
            rest is copied and goes out with later ones.

        Raises:
            OSError: the peer is gone.
        """
        self._unsent = [*self._unsent, *parts] if self._unsent else parts
        done = False
        try:
            done = self.flush(when_full, deadline)
        finally:
            if not done and self._has_begun(parts):
                # The rest lies in memory of the caller's, who may write to it from now on.
                self._unsent = list(map(bytes, self._unsent))
                done = True
            elif not done:
                self._unsent = self._unsent[: -len(parts)]
                if withdrawn is not None:
                    withdrawn()
        return done

    def flush(self, when_full: WhenFull, deadline: float | None) -> bool:
        """Writes all that is unsent; False when the deadline passes before."""
        self._remove_sent()
        while self._unsent:
            part = self._unsent[0]
            try:
                # One step for Ctrl-C, which comes after calls: what is sent is noted.
                if len(self._unsent) == 1:
                    self._sent.extend(map(self._sock.send, (part,)))
                else:
                    self._sent.extend(map(self._sock.sendmsg, (self._unsent[:64],)))
            except BlockingIOError:
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                when_full(deadline)
                continue
            if self._sent[0] == len(part) and len(self._unsent) == 1:
                self._unsent, self._sent = [], []
            else:
                self._remove_sent()
        return True

    def _remove_sent(self) -> None:
        if not self._sent:
            return
        left, index, unsent = self._sent[0], 0, self._unsent
        while index < len(unsent) and left >= len(unsent[index]):
            left -= len(unsent[index])
            index += 1
        unsent = unsent[index:]
        if left:
            unsent[0] = memoryview(unsent[0])[left:]
        self._unsent, self._sent = unsent, []

    def _has_begun(self, parts: list[Part]) -> bool:
        """Whether the socket has taken some of the last message."""
        self._remove_sent()
        return len(self._unsent) < len(parts) or self._unsent[-len(parts)] is not parts[0]
