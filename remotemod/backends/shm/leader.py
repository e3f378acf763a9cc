"""Whose turn it is to read a connection: who waits for an answer reads it, and those of the others on the way."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.frames import Message
from remotemod.backends.shm.reader_lock import ReaderLock
from remotemod.errors import ProtocolError, RemoteModError

__all__ = ["Leader"]


class Leader(ABC):
    """Threads that take turns at reading one channel.

    There is no reader thread on the way of a blocking call: the first who waits reads until his own
    answer is there and completes the others' futures meanwhile, and then the next one goes on. A thread
    that reads may come here again, from a callback of a future that it has completed.

    Args:
        channel: the connected channel.

    Attributes:
        turn: whose turn it is to read.
        lost: what every call fails with, once the connection has ended.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.turn = ReaderLock()
        self.lost: RemoteModError | None = None
        # What was read where no callback may run.
        self._stash: deque[Message] = deque()
        # Answers to calls whose callers read by themselves, if a callback of others has read them.
        self._kept: dict[int, Message] = {}

    # --- what a connection does with what was read --------------------------------------------

    @abstractmethod
    def _dispatch(self, message: Message) -> None:
        """Completes the future that a message answers."""

    @abstractmethod
    def _lose(self, error: Exception) -> RemoteModError:
        """Fails every call that is under way; returns what further ones fail with."""

    # --- turns --------------------------------------------------------------------------------

    def advance(self, enough: Callable[[], object], until: float | None) -> None:
        """Reads, or waits while somebody else reads, until it is enough or the time is over."""
        turn, me = self.turn, threading.get_ident()
        if turn.holder == me:
            self._read(enough, until)
            return
        try:
            if turn.take(until, enough):
                self._read(enough, until)
        finally:
            if turn.holder == me:
                turn.holder = 0
            turn.notify()

    # --- with the turn ------------------------------------------------------------------------

    def _read(self, enough: Callable[[], object], until: float | None) -> None:
        while not enough():
            try:
                message = self._next(until)
            except (EOFError, OSError, ValueError, ProtocolError) as error:
                self._lose(error)
                return
            if message is not None:
                self._take(message)
            elif until is not None and time.monotonic() >= until:
                return

    def _take(self, message: Message) -> None:
        try:
            self._dispatch(message)
        except BaseException:  # Ctrl-C: it may be the answer to somebody else's call
            self._stash.appendleft(message)
            raise

    def _next(self, until: float | None) -> Message | None:
        return self._stash.popleft() if self._stash else self._channel.receive(until)

    def answer_to(self, call: int, until: float | None) -> Message | None:
        """Reads until the answer to ``call`` is there; None when the time is over first."""
        while True:
            try:
                message = self._next(until)
            except (EOFError, OSError, ValueError, ProtocolError) as error:
                raise self._lose(error) from error
            if message is None:
                if until is not None and time.monotonic() >= until:
                    return None
                continue
            if message.call == call:
                return message
            self._take(message)
            if self._kept:
                kept = self._kept.pop(call, None)
                if kept is not None:
                    return kept

    # --- while a send is blocked --------------------------------------------------------------

    def while_blocked(self, until: float | None) -> None:
        """The worker takes no more: it may be waiting for its answers to be read, so read them."""
        turn, me = self.turn, threading.get_ident()
        mine = turn.holder == me
        try:
            if not mine and not turn.try_take():
                self._channel.wait_writable(until)
                return
            self._channel.wait_either(until)
            message = self._channel.receive(0.0)
            if message is not None:
                # Completing a future runs callbacks, and those may send: not in the middle of a send.
                self._stash.append(message)
        except (EOFError, ProtocolError) as error:
            raise BrokenPipeError(str(error)) from error
        finally:
            if not mine:
                if turn.holder == me:
                    turn.holder = 0
                turn.notify()

    def drain(self) -> None:
        """Dispatches what was read during a send."""
        while self._stash:
            try:
                message = self._stash.popleft()
            except IndexError:
                return
            self._take(message)
