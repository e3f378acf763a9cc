"""A right that one thread at a time has, and that survives Ctrl-C at any point."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["ReaderLock"]


class ReaderLock:
    """A lock that knows its holder.

    Python raises KeyboardInterrupt after any call, so a lock that is taken before a ``try`` can stay taken for
    ever. A turn is taken inside of it, and given back without a call, by a plain assignment::

        me = threading.get_ident()
        try:
            turn.take()
            ...
        finally:
            if turn.holder == me:
                turn.holder = 0
            turn.notify()

    Attributes:
        holder: the thread whose turn it is; 0 for nobody's.
    """

    def __init__(self) -> None:
        self.holder = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0

    def try_take(self) -> bool:
        """Takes the turn if it is nobody's."""
        with self._lock:
            if self.holder:
                return False
            self.holder = threading.get_ident()
            return True

    def take(self, until: float | None, enough: Callable[[], object] | None = None) -> bool:
        """Waits for the turn; False when the time is over first, or it is ``enough``.

        Args:
            until: the ``time.monotonic()`` to give up at.
            enough: asked whenever somebody calls :meth:`notify`.
        """
        with self._lock:
            while self.holder:
                left = None if until is None else until - time.monotonic()
                if (enough is not None and enough()) or (left is not None and left <= 0):
                    return False
                self._waiting += 1
                try:
                    self._changed.wait(left)
                finally:
                    self._waiting -= 1
            self.holder = threading.get_ident()
            return True

    def notify(self) -> None:
        """Lets those who wait look whether it is their turn, or enough."""
        with self._lock:
            if self._waiting:
                self._changed.notify_all()

    def wait_for_others(self, timeout: float) -> None:
        """Waits until no other thread has the turn."""
        me = threading.get_ident()
        with self._lock:
            self._waiting += 1
            self._changed.wait_for(lambda: self.holder in (0, me), timeout)
            self._waiting -= 1
