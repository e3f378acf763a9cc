"""How the threads that wait for replies share one connection: one of them leads and reads, the others follow."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.interrupt_safe_lock import InterruptSafeLock
from remotemod.backends.shm.protocol import Message
from remotemod.errors import ProtocolError, RemoteModError

__all__ = ["LeaderFollowers"]


class LeaderFollowers(ABC):
    """Threads that read one channel by the leader/followers pattern.

    A blocking call needs no reader thread: the first thread that waits takes the reader lock and leads. It reads until
    its own reply has arrived, and completes the futures of the others on the way; then the next one leads. The leader
    may read recursively, from a callback of a future that it has completed.

    Args:
        channel: the connected channel.

    Attributes:
        reader_lock: held by the leader.
        lost: what every call fails with, once the connection has ended.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.reader_lock = InterruptSafeLock()
        self.lost: RemoteModError | None = None
        # Messages that were read where no callback may run.
        self._stash: deque[Message] = deque()
        # Replies to calls of `exchange` that a callback has read, which ran while their caller led.
        self._replies: dict[int, Message] = {}

    # --- for the connection to implement ------------------------------------------------------

    @abstractmethod
    def _dispatch(self, message: Message) -> None:
        """Completes the future of the call that a message replies to."""

    @abstractmethod
    def _lose(self, error: Exception) -> RemoteModError:
        """Fails every call in flight; returns what later ones fail with."""

    # --- leading and following ----------------------------------------------------------------

    def read_until(self, done: Callable[[], object], deadline: float | None) -> None:
        """Reads, or waits while another thread reads, until ``done`` holds or the deadline passes."""
        lock, me = self.reader_lock, threading.get_ident()
        if lock.holder == me:
            self._lead(done, deadline)
            return
        try:
            if lock.acquire(deadline, done):
                self._lead(done, deadline)
        finally:
            if lock.holder == me:
                lock.holder = 0
            lock.notify()

    def wake(self) -> None:
        """Lets the leader and the followers see whether what they wait for holds."""
        self._channel.wake()
        self.reader_lock.notify()

    # --- with the reader lock -----------------------------------------------------------------

    def _lead(self, done: Callable[[], object], deadline: float | None) -> None:
        while not done():
            try:
                message = self._next_message(deadline)
            except (EOFError, OSError, ValueError, ProtocolError) as error:
                self._lose(error)
                return
            if message is not None:
                self._handle(message)
            elif deadline is not None and time.monotonic() >= deadline:
                return

    def _handle(self, message: Message) -> None:
        try:
            self._dispatch(message)
        except BaseException:  # Ctrl-C: it may be the reply to another thread's call
            self._stash.appendleft(message)
            raise

    def _next_message(self, deadline: float | None) -> Message | None:
        return self._stash.popleft() if self._stash else self._channel.receive(deadline)

    def _read_reply(self, call: int, deadline: float | None) -> Message | None:
        """Reads until the reply to ``call`` has arrived; None when the deadline passes before."""
        while True:
            try:
                message = self._next_message(deadline)
            except (EOFError, OSError, ValueError, ProtocolError) as error:
                raise self._lose(error) from error
            if message is None:
                if deadline is not None and time.monotonic() >= deadline:
                    return None
                continue
            if message.call == call:
                return message
            self._handle(message)
            if self._replies:
                reply = self._replies.pop(call, None)
                if reply is not None:
                    return reply

    # --- while a send is blocked --------------------------------------------------------------

    def _read_while_blocked(self, deadline: float | None) -> None:
        """Reads while the socket is full: the worker may be waiting for its replies to be read."""
        lock, me = self.reader_lock, threading.get_ident()
        was_leader = lock.holder == me
        try:
            if not was_leader and not lock.try_acquire():
                self._channel.wait_writable(deadline)
                return
            self._channel.wait_either(deadline)
            message = self._channel.receive(0.0)
            if message is not None:
                # Completing a future runs callbacks, and those may send: not in the middle of a send.
                self._stash.append(message)
        except (EOFError, ProtocolError) as error:
            raise BrokenPipeError(str(error)) from error
        finally:
            if not was_leader:
                if lock.holder == me:
                    lock.holder = 0
                lock.notify()

    def _dispatch_stash(self) -> None:
        """Dispatches what was read during a send."""
        while self._stash:
            try:
                message = self._stash.popleft()
            except IndexError:
                return
            self._handle(message)
