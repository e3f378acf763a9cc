"""Whose turn it is to read a connection: who waits for an answer reads it, and those of the others on the way."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.frames import Message
from remotemod.errors import ProtocolError, RemoteModError

__all__ = ["Reading"]


class Reading:
    """Threads that take turns at reading one channel.

    There is no reader thread on the way of a blocking call: the first who waits reads until his own
    answer is there and completes the others' futures meanwhile, and then the next one goes on. A thread
    that reads may come here again, from a callback of a future that it has completed.

    Args:
        channel: the connected channel.

    Attributes:
        turn: guards whose turn it is; notified when that changes.
        lost: what every call fails with, once the connection has ended.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.renew_turn()
        self.lost: RemoteModError | None = None
        self._waiting = 0
        # What was read where no callback may run.
        self._stash: deque[Message] = deque()
        # Answers to calls whose callers read by themselves, if a callback of others has read them.
        self._kept: dict[int, Message] = {}

    # --- what a connection does with what was read --------------------------------------------

    def _dispatch(self, message: Message) -> None:
        raise NotImplementedError

    def _lose(self, error: Exception) -> RemoteModError:
        raise NotImplementedError

    # --- turns --------------------------------------------------------------------------------

    def renew_turn(self) -> None:
        """Begins anew with nobody's turn, in a forked process too: who had it is not there."""
        self._lock = threading.Lock()
        self.turn = threading.Condition(self._lock)
        self._reader = 0  # the thread whose turn it is

    @property
    def reads(self) -> bool:
        """Whether it is this thread's turn."""
        return self._reader == threading.get_ident()

    def try_turn(self) -> bool:
        """Takes the turn if nobody has it."""
        with self._lock:
            if self._reader:
                return False
            self._reader = threading.get_ident()
            return True

    def pass_on(self) -> None:
        """Ends this thread's turn, if it is its turn at all: an interruption can come at any point."""
        with self._lock:
            if self._reader == threading.get_ident():
                self._reader = 0
                if self._waiting:
                    self.turn.notify_all()

    def notify(self) -> None:
        """Lets those who wait look whether what they wait for has come."""
        if self._waiting:
            with self.turn:
                self.turn.notify_all()

    def advance(self, enough: Callable[[], bool], until: float | None) -> None:
        """Reads, or waits while somebody else reads, until it is enough or the time is over."""
        if self.reads:
            self._read(enough, until)
            return
        try:
            if self._wait_for_turn(enough, until):
                self._read(enough, until)
        finally:
            self.pass_on()

    def _wait_for_turn(self, enough: Callable[[], bool], until: float | None) -> bool:
        with self.turn:
            while self._reader:
                left = None if until is None else until - time.monotonic()
                if enough() or (left is not None and left <= 0):
                    return False
                self._waiting += 1
                try:
                    self.turn.wait(left)
                finally:
                    self._waiting -= 1
            self._reader = threading.get_ident()
            return True

    # --- with the turn ------------------------------------------------------------------------

    def _read(self, enough: Callable[[], bool], until: float | None) -> None:
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
        mine = self.reads
        if not mine and not self.try_turn():
            self._channel.wait_writable(until)
            return
        try:
            self._channel.wait_either(until)
            message = self._channel.receive(0.0)
            if message is not None:
                # Completing a future runs callbacks, and those may send: not in the middle of a send.
                self._stash.append(message)
        except (EOFError, ProtocolError) as error:
            raise BrokenPipeError(str(error)) from error
        finally:
            if not mine:
                self.pass_on()

    def drain(self) -> None:
        """Dispatches what was read during a send."""
        while self._stash:
            try:
                message = self._stash.popleft()
            except IndexError:
                return
            self._take(message)

    def stop(self) -> None:
        """Closes the channel once nobody reads it."""
        with self.turn:
            self._waiting += 1
            self.turn.wait_for(lambda: not self._reader, timeout=5)
            self._waiting -= 1
            self._channel.close()
