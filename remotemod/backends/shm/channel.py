"""Messages over a Unix socket, with their large frames in shared memory."""

from __future__ import annotations

import contextlib
import socket

from remotemod.backends.shm.memory import ReclaimedSlots
from remotemod.backends.shm.protocol import FREE, Message, unpack_offsets
from remotemod.backends.shm.receiver import Receiver
from remotemod.backends.shm.sender import Sender

__all__ = ["Channel"]

_SOCKET_BUFFER = 1024 * 1024


class Channel:
    """One end of a connection. Any thread may send; one thread at a time may receive.

    Args:
        sock: a connected Unix stream socket; the channel owns it from now on.
        arena: bytes of shared memory that frames on their way from here may take up at once.
    """

    def __init__(self, sock: socket.socket, arena: int) -> None:
        sock.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
        self._sock = sock
        reclaimed = ReclaimedSlots()
        self._sender = Sender(sock, arena, reclaimed)
        self._receiver = Receiver(sock, reclaimed)
        self._closed = False
        self.send = self._sender.send
        self.post = self._sender.post
        self.wait_writable = self._sender.wait_writable
        self.wait_either = self._sender.wait_either
        self.wake = self._receiver.wake

    def receive(self, deadline: float | None) -> Message | None:
        """Returns the next message.

        Args:
            deadline: the ``time.monotonic()`` to give up at; None for never.

        Returns:
            None when the deadline passed or :meth:`wake` was called; nothing of a message that has begun
            to arrive is lost.

        Raises:
            EOFError: the peer is gone.
            ProtocolError: what arrived is no message.
        """
        while True:
            message = self._receiver.receive(deadline)
            if message is None or message.kind != FREE:
                return message
            self._sender.release(unpack_offsets(message.header))

    def disown(self) -> None:
        """Sends nothing any more, and leaves the socket to the process that opened it."""
        self._sender.disown()

    def close(self) -> None:
        """Closes the socket; the peer reads the end of the connection. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._sender.close()
        self._receiver.close()
