"""The future of a remote call: waited for, polled, chained, awaited."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from remotemod.completion import PENDING, Completion, InLoop
from remotemod.errors import Cancelled, DeadlineExceeded
from remotemod.expiry import expire_in_time
from remotemod.timeouts import deadline_after

if TYPE_CHECKING:
    import asyncio

__all__ = ["Driver", "Future", "TracedFuture"]

T = TypeVar("T")
S = TypeVar("S")


class Driver(Protocol):
    """A source of progress for futures whose results arrive over a connection.

    The thread that waits does the reading itself, so a blocking call costs no thread switch.
    """

    def drive(
        self,
        future: Future[Any],
        deadline: float | None,
        enough: Callable[[], object] | None = None,
    ) -> None:
        """Read until ``future`` is done or ``time.monotonic()`` passes ``deadline`` (None: never).

        A driver that several futures share reads until it is ``enough`` instead, where that is given.
        """

    def attend(self, future: Future[Any]) -> None:
        """Make sure that ``future`` becomes done, or fails at its deadline, though no thread waits."""

    def forget(self, future: Future[Any]) -> None:
        """Drop the call, and its result if that arrives."""


class TracedFuture:
    """A placeholder for a future while a graph is written: its result can be taken, and nothing else."""

    def wait(self, timeout: float | None = None) -> Any:
        """Return the placeholder of the result in the graph."""
        raise NotImplementedError


class Future(Completion[T]):
    """The result of a call that runs elsewhere.

    Thread-safe. Done exactly once: with a result, an exception, or by :meth:`cancel`. It is a
    ``concurrent.futures.Future``: ``concurrent.futures.wait`` and ``as_completed``, ``asyncio.wait``, ``gather`` and
    ``wrap_future`` take it.

    Args:
        what: names the call in error messages.
        driver: makes progress; None where another thread completes the future.
        deadline: the ``time.monotonic()`` at which the call as a whole has failed; None for never.
    """

    __slots__ = ()

    @property
    def driver(self) -> Driver | None:
        """The source of progress; None where another thread completes the future, and once it is done."""
        driver: Driver | None = self._driver
        return driver

    @property
    def deadline(self) -> float | None:
        """The ``time.monotonic()`` at which the call as a whole has failed."""
        return self._deadline

    def wait(self, timeout: float | None = None) -> T:
        """Block until the call is done and return its result.

        Args:
            timeout: seconds to wait at most; None and ``math.inf`` wait as long as the call itself may take.

        Raises:
            DeadlineExceeded: the time is over. After ``timeout`` alone the call goes on and can be
                waited for again; after the call's own deadline it has failed for good.
            RemoteError: the call raised on the owner; the exception is of the remote type too.
            Cancelled: the call was cancelled.
            WorkerLost: the worker died.
        """
        if self._state is PENDING:
            self._block(timeout)
        if self._exception is None:
            return self._result  # type: ignore[return-value]
        try:
            raise self._exception
        finally:
            del self  # the traceback holds this frame

    result = wait

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Block like :meth:`wait` and return the error that it raises; None if the call succeeded.

        Raises:
            DeadlineExceeded: ``timeout`` is over, and the call goes on.
        """
        if self._state is PENDING:
            self._block(timeout)
        return self._exception

    def _block(self, timeout: float | None) -> None:
        deadline, own = deadline_after(timeout), self._deadline
        if deadline is None or (own is not None and own < deadline):
            deadline = own
        driver = self._driver
        if driver is not None:
            driver.drive(self, deadline)
        else:
            changed = self._condition
            with changed:
                while self._state is PENDING:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    changed.wait(left)
        if self._state is not PENDING:
            return
        self.expire()
        if self._state is PENDING:
            raise DeadlineExceeded(f"{self.what} was not done after {timeout} s of waiting")

    def expire(self) -> None:
        """Fail the call if its own deadline has passed."""
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        driver = self._driver
        if self.set_exception(DeadlineExceeded(f"{self.what} did not finish in time")) and driver:
            driver.forget(self)

    def done(self) -> bool:
        """Whether the outcome is known."""
        if self._state is PENDING:
            driver = self._driver
            if driver is not None:
                driver.drive(self, 0.0)
            self.expire()
        return self._state is not PENDING

    def cancel(self) -> bool:
        """Cancel the call; return False if it was done already.

        A call that runs on the owner is not interrupted; its result is dropped.
        """
        driver = self._driver
        if not self.set_exception(Cancelled(f"{self.what} was cancelled")):
            return False
        if driver is not None:
            driver.forget(self)
        return True

    def attend(self) -> None:
        """Make sure that the future becomes done though no thread waits for it."""
        driver = self._driver
        if driver is not None:
            driver.attend(self)
        else:
            expire_in_time(self)

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
        import asyncio  # it is loaded: there is a loop

        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake(_: object) -> None:
            if not waiter.done():
                waiter.set_result(None)

        self.add_done_callback(InLoop(loop, wake))
        try:
            yield from waiter
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.wait()

    def __repr__(self) -> str:
        state = "pending" if self._state is PENDING else "failed" if self._exception else "done"
        return f"<remotemod.Future of {self.what}: {state}>"
