"""The future of a remote call: waited for, polled, chained, awaited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from remotemod.errors import Cancelled, DeadlineExceeded

if TYPE_CHECKING:
    import asyncio

__all__ = ["Driver", "Future", "deadline_after"]

T = TypeVar("T")
S = TypeVar("S")

_LONGEST = 1e6
_PENDING, _DONE, _FAILED = 0, 1, 2
_CONVERTING = threading.RLock()
_CHANGED = threading.Condition(threading.Lock())


def deadline_after(timeout: float | None) -> float | None:
    """The ``time.monotonic()`` at which ``timeout`` seconds are over; None for no bound.

    A bound of weeks is none either: the system's own waits cannot count so far.
    """
    return None if timeout is None or timeout > _LONGEST else time.monotonic() + timeout


class Driver(Protocol):
    """What makes progress for futures whose results arrive over a connection.

    The thread that waits does the reading itself, so a blocking call costs no thread switch.
    """

    def drive(self, future: Future[Any], until: float | None) -> None:
        """Reads until ``future`` is done or ``time.monotonic()`` passes ``until`` (None: no bound)."""

    def attend(self, future: Future[Any]) -> None:
        """Sees to it that somebody reads until ``future`` is done, because nobody is going to wait."""

    def forget(self, future: Future[Any]) -> None:
        """Drops the call: its result, should it come, goes nowhere."""


class Future(Generic[T]):
    """The result of a call that runs elsewhere.

    Thread-safe. Done exactly once: with a result, an exception, or by :meth:`cancel`.

    Args:
        what: names the call in error messages.
        driver: makes progress; None where another thread completes the future.
        deadline: the ``time.monotonic()`` at which the call as a whole has failed; None for no bound.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_convert",
        "_deadline",
        "_driver",
        "_state",
        "_value",
        "what",
    )

    def __init__(
        self, what: str = "the call", driver: Driver | None = None, deadline: float | None = None
    ) -> None:
        self.what = what
        self._driver = driver
        self._deadline = deadline
        self._state = _PENDING
        self._value: Any = None
        self._convert: Callable[[Any], Any] | None = None
        self._callbacks: list[Callable[[Future[T]], object]] | None = None

    # --- for those who complete futures -------------------------------------------------------

    def set_result(self, value: T) -> bool:
        """Completes the future; False (and nothing else) if it was done already."""
        return self._finish(_DONE, value)

    def set_exception(self, error: BaseException) -> bool:
        """Fails the future; False (and nothing else) if it was done already."""
        return self._finish(_FAILED, error)

    def _finish(self, state: int, value: Any) -> bool:
        with _CHANGED:
            if self._state != _PENDING:
                return False
            self._value = value
            self._state = state
            callbacks, self._callbacks = self._callbacks, None
            if self._driver is None:
                _CHANGED.notify_all()
        self._driver = None
        for callback in callbacks or ():
            _run(callback, self)
        return True

    def convert(self, function: Callable[[Any], Any]) -> None:
        """Passes the result through ``function`` once, in the first thread that takes it."""
        self._convert = function

    def _apply(self) -> None:
        with _CONVERTING:
            function = self._convert
            if function is not None and self._state == _DONE:
                try:
                    self._value = function(self._value)
                except Exception as error:
                    self._value, self._state = error, _FAILED
            self._convert = None

    @property
    def deadline(self) -> float | None:
        """The ``time.monotonic()`` at which the call as a whole has failed."""
        return self._deadline

    @property
    def settled(self) -> bool:
        """Whether the outcome is known here, without looking for news."""
        return self._state != _PENDING

    # --- for those who wait -------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> T:
        """Blocks until the call is done and returns its result.

        Args:
            timeout: seconds to wait at most; None waits as long as the call itself may take.

        Raises:
            DeadlineExceeded: the time is over. After ``timeout`` alone the call goes on and can be
                waited for again; after the call's own deadline it has failed for good.
            RemoteError: the call raised on the owner; the exception is of the remote type too.
            Cancelled: the call was cancelled.
            WorkerLost: the worker died.
        """
        if self._state == _PENDING:
            self._block(timeout)
        if self._convert is not None:
            self._apply()
        if self._state == _DONE:
            return self._value  # type: ignore[no-any-return]
        raise self._value

    result = wait

    def _block(self, timeout: float | None) -> None:
        until = deadline_after(timeout)
        deadline = self._deadline
        bound = deadline if until is None else until if deadline is None else min(until, deadline)
        driver = self._driver
        if driver is not None:
            driver.drive(self, bound)
        else:
            with _CHANGED:
                while self._state == _PENDING:
                    left = None if bound is None else bound - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    _CHANGED.wait(left)
        if self._state != _PENDING:
            return
        self.expire()
        if self._state == _PENDING:
            raise DeadlineExceeded(f"{self.what} was not done after {timeout} s of waiting")

    def expire(self) -> None:
        """Fails the call if its own deadline has passed."""
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        driver = self._driver
        if self.set_exception(DeadlineExceeded(f"{self.what} did not finish in time")) and driver:
            driver.forget(self)

    def done(self) -> bool:
        """Whether the outcome is known."""
        driver = self._driver
        if self._state == _PENDING and driver is not None:
            driver.drive(self, 0.0)
        self.expire()
        return self._state != _PENDING

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Blocks like :meth:`wait` and returns what the call raised, None if it succeeded."""
        if self._state == _PENDING:
            self._block(timeout)
        return self._value if self._state == _FAILED else None

    def cancel(self) -> bool:
        """Gives the call up; False if it was done already.

        A call that runs on the owner is not interrupted; its result is thrown away.
        """
        driver = self._driver
        if not self.set_exception(Cancelled(f"{self.what} was cancelled")):
            return False
        if driver is not None:
            driver.forget(self)
        return True

    def cancelled(self) -> bool:
        """Whether :meth:`cancel` ended the call."""
        return self._state == _FAILED and isinstance(self._value, Cancelled)

    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Calls ``callback(self)`` once the future is done, at once if it is.

        Callbacks run in the thread that completes the future; what they raise is logged and dropped.
        """
        with _CHANGED:
            pending = self._state == _PENDING
            if pending:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
            driver = self._driver
        if not pending:
            _run(callback, self)
        elif driver is not None:
            driver.attend(self)

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """The future of ``callback(self)``, which runs once this one is done (as in ``torch.futures``)."""
        child: Future[S] = Future(f"what follows {self.what}")

        def run(parent: Future[T]) -> None:
            try:
                child.set_result(callback(parent))
            except BaseException as error:
                child.set_exception(error)

        self.add_done_callback(run)
        return child

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake(_: Future[T]) -> None:
            loop.call_soon_threadsafe(_set, waiter)

        self.add_done_callback(wake)
        try:
            yield from waiter
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.wait()

    def __repr__(self) -> str:
        state = ("pending", "done", "failed")[self._state]
        return f"<remotemod.Future of {self.what}: {state}>"


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _run(callback: Callable[[Future[Any]], object], future: Future[Any]) -> None:
    try:
        callback(future)
    except Exception:
        import logging

        logging.getLogger("remotemod").exception("a callback of %r failed", future)
