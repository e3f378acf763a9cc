"""A lock that a Ctrl-C at any point leaves neither held for ever nor released too early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["InterruptSafeLock"]


class InterruptSafeLock:
    """A lock that knows the thread that holds it.

    Python raises KeyboardInterrupt after any call, so a lock that is acquired before a ``try`` can stay held for
    ever. This one is acquired inside of it, and released without a call, by a plain assignment::

        me = threading.get_ident()
        try:
            lock.acquire(deadline)
            ...
        finally:
            if lock.holder == me:
                lock.holder = 0
            lock.notify()

    Attributes:
        holder: the identifier of the thread that holds the lock; 0 while it is free.
    """

    def __init__(self) -> None:
        self.holder = 0
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)
        self._waiting = 0

    def try_acquire(self) -> bool:
        """Acquires the lock if it is free."""
        with self._mutex:
            if self.holder:
                return False
            self.holder = threading.get_ident()
            return True

    def acquire(self, deadline: float | None, stop: Callable[[], object] | None = None) -> bool:
        """Waits for the lock; False when the deadline passes, or ``stop`` holds, before it is free.

        Args:
            deadline: the ``time.monotonic()`` to give up at; None for never.
            stop: evaluated whenever a thread calls :meth:`notify`.
        """
        with self._mutex:
            while self.holder:
                left = None if deadline is None else deadline - time.monotonic()
                if (stop is not None and stop()) or (left is not None and left <= 0):
                    return False
                self._waiting += 1
                try:
                    self._changed.wait(left)
                finally:
                    self._waiting -= 1
            self.holder = threading.get_ident()
            return True

    def notify(self) -> None:
        """Lets the waiting threads see whether the lock is free, or their condition to stop holds."""
        with self._mutex:
            if self._waiting:
                self._changed.notify_all()

    def wait_for_others(self, timeout: float) -> None:
        """Waits until no other thread holds the lock, for ``timeout`` seconds at most."""
        me = threading.get_ident()
        with self._mutex:
            self._waiting += 1
            self._changed.wait_for(lambda: self.holder in (0, me), timeout)
            self._waiting -= 1
