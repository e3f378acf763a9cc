"""The half of a future that completes: once, with one outcome, which callbacks and the standard library's waiters get."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TYPE_CHECKING, Any, TypeVar

from remotemod.errors import Cancelled
from remotemod.process import slot

if TYPE_CHECKING:
    import asyncio

__all__ = ["PENDING", "Completion", "InLoop"]

T = TypeVar("T")

# Held for moments; reentrant, because a signal's handler may complete a future, too.
_LOCK = slot("the lock under which futures become done", threading.RLock, in_child="new")


class Completion(concurrent.futures.Future[T]):
    """A future that completes exactly once: with a result, an exception, or because it was cancelled.

    ``concurrent.futures.wait`` and ``as_completed`` look into their futures, so this has what they look for: a state of theirs, a
    condition under which it changes, and their waiters. The base class makes these for each future; here they are made
    on demand, because most futures are waited for by one thread, which reads the reply itself.

    Args:
        what: names the call in messages.
        driver: makes progress; dropped once this is done.
        deadline: the ``time.monotonic()`` at which the call as a whole has failed; None for never.
    """

    __slots__ = (
        "_callbacks",
        "_convert",
        "_deadline",
        "_driver",
        "_exception",
        "_guard",
        "_result",
        "_state",
        "what",
    )

    def __init__(
        self, what: str = "the call", driver: Any = None, deadline: float | None = None
    ) -> None:
        self.what = what
        self._driver = driver
        self._deadline = deadline
        self._state = PENDING
        self._convert: Callable[[Any], Any] | None = None
        self._callbacks: list[Callable[[Any], object]] | None = None
        self._guard: _Guard | None = None

    # --- the outcome --------------------------------------------------------------------------

    def set_result(self, value: Any) -> bool:  # type: ignore[override]
        """Complete the future; return False, and do nothing else, if it was done already."""
        return self._finish(value, None)

    def set_exception(self, error: BaseException) -> bool:  # type: ignore[override]
        """Fail the future; return False, and do nothing else, if it was done already."""
        return self._finish(None, error)

    def convert(self, function: Callable[[Any], Any]) -> None:
        """Pass the result through ``function`` once, before anything else sees it; an error that it raises is the outcome.

        For the code that makes the future, before it hands it out.
        """
        with _LOCK.value:
            if self._state is PENDING:
                first = self._convert
                self._convert = function if first is None else lambda value: function(first(value))
                return
        if self._exception is None:
            self._set_outcome(*_converted(function, self._result))

    def _finish(self, result: Any, error: BaseException | None) -> bool:
        if self._convert is not None and error is None:
            result, error = _converted(self._convert, result)
        with _LOCK.value:
            guard = self._guard
            if guard is None:
                if self._state is not PENDING:
                    return False
                self._set_outcome(result, error)
        if guard is not None:
            with guard:  # before the lock: a thread that holds it relies on the state
                with _LOCK.value:
                    if self._state is not PENDING:
                        return False
                    self._set_outcome(result, error)
                guard.wake(self)
        self._driver = self._convert = None
        if self._callbacks is not None:
            callbacks, self._callbacks = self._callbacks, None
            for callback in callbacks:
                _run(callback, self)
        return True

    def _set_outcome(self, result: Any, error: BaseException | None) -> None:
        self._result = result
        self._exception = error
        if error is not None and isinstance(error, Cancelled):
            self._state = CANCELLED_AND_NOTIFIED
        else:
            self._state = FINISHED

    @property
    def settled(self) -> bool:
        """Whether the outcome is known, without driving the future."""
        return self._state is not PENDING

    def cancelled(self) -> bool:
        """Whether the call ended because it was cancelled."""
        return self._state is CANCELLED_AND_NOTIFIED

    # --- callbacks ----------------------------------------------------------------------------

    def on_done(self, callback: Callable[[Any], object]) -> bool:
        """Call ``callback(self)`` once this is done, without making it so; return False if it is done already."""
        with _LOCK.value:
            if self._state is not PENDING:
                return False
            if self._callbacks is None:
                self._callbacks = []
            self._callbacks.append(callback)
            return True

    def attend(self) -> None:
        """Make sure that this becomes done though no thread waits for it."""
        raise NotImplementedError

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call ``callback(self)`` once the future is done, at once if it is.

        Callbacks run in the thread that completes the future (asyncio's own in that of their loop); what they raise is
        logged and dropped.
        """
        loop = _loop_of(callback)
        if loop is not None:
            callback = InLoop(loop, callback)
        if self.on_done(callback):
            self.attend()
        else:
            _run(callback, self)

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        """Remove a callback; return how often it was there."""
        with _LOCK.value:
            callbacks = self._callbacks or []
            others = [entry for entry in callbacks if entry != callback]
            if self._callbacks is not None:
                self._callbacks = others
            return len(callbacks) - len(others)

    # --- for concurrent.futures ---------------------------------------------------------------

    @property
    def _condition(self) -> _Guard:  # type: ignore[override]
        with _LOCK.value:
            if self._guard is None:
                self._guard = _Guard()
            return self._guard

    @property
    def _waiters(self) -> _Waiters:  # type: ignore[override]
        return _Waiters(self)

    def set_running_or_notify_cancel(self) -> bool:
        """Whether a call may begin, because it was not cancelled."""
        return not self.cancelled()


class _Guard(threading.Condition):
    """A future's own condition, and the standard library's waiters on several futures."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[Any] = []

    def wake(self, future: Completion[Any]) -> None:
        """Wake all waiting threads, with the condition held."""
        for waiter in self.waiters:
            if future.cancelled():
                waiter.add_cancelled(future)
            elif future._exception is not None:
                waiter.add_exception(future)
            else:
                waiter.add_result(future)
        self.notify_all()


class _Waiters:
    """A future's waiters, as ``concurrent.futures`` sees them: it blocks on an event, so from then on no thread drives the future."""

    __slots__ = ("_future",)

    def __init__(self, future: Completion[Any]) -> None:
        self._future = future

    def append(self, waiter: Any) -> None:
        """Add a waiter, with the condition held, and make sure that the future becomes done."""
        self._future._condition.waiters.append(waiter)
        self._future.attend()

    def remove(self, waiter: Any) -> None:
        """Remove a waiter, with the condition held."""
        self._future._condition.waiters.remove(waiter)


class InLoop:
    """A callback that runs in the thread of an event loop.

    Args:
        loop: the loop.
        callback: the callback; equal to this, for :meth:`Completion.remove_done_callback`.
    """

    __slots__ = ("_callback", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[Any], object]) -> None:
        self._loop = loop
        self._callback = callback

    def __call__(self, future: Any) -> None:
        """Schedule the callback in the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits there
            self._loop.call_soon_threadsafe(self._callback, future)

    def __eq__(self, other: object) -> bool:
        return self is other or self._callback == other

    def __hash__(self) -> int:
        return hash(self._callback)


def _loop_of(callback: Callable[[Any], object]) -> asyncio.AbstractEventLoop | None:
    """The loop in which a callback must run: asyncio's own rely on that, as in ``asyncio.wait``."""
    if not str(getattr(callback, "__module__", "")).startswith("asyncio."):
        return None
    try:
        loop: asyncio.AbstractEventLoop = sys.modules["asyncio"].get_running_loop()
    except RuntimeError:
        return None
    return loop


def _converted(function: Callable[[Any], Any], value: Any) -> tuple[Any, Exception | None]:
    try:
        return function(value), None
    except Exception as error:
        return None, error


def _run(callback: Callable[[Any], object], future: Completion[Any]) -> None:
    try:
        callback(future)
    except Exception:
        import logging  # concurrent.futures has loaded it

        logging.getLogger("remotemod").exception("a callback of %r failed", future)
