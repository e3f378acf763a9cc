"""Wait for several remote calls at once: for all of them, or for each as it is done."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

from remotemod.errors import DeadlineExceeded
from remotemod.future import Future, TracedFuture
from remotemod.timeouts import deadline_after

__all__ = ["as_completed", "wait_all"]

T = TypeVar("T")

_POLL_SECONDS = 1e-3
"""Seconds for which the waiting thread polls several connections in turn, before each gets a thread that reads it."""

_POLL_INTERVAL = 0.05
"""Seconds between polls of connections that have threads."""


@overload
def wait_all(futures: Iterable[Future[T]], timeout: float | None = None) -> list[T]: ...
@overload
def wait_all(futures: Iterable[Future[Any]], timeout: float | None = None) -> list[Any]: ...
def wait_all(futures: Iterable[Future[Any]], timeout: float | None = None) -> list[Any]:
    """Block until all calls are done and return their results, in the order of ``futures``.

    As ``torch.futures.wait_all``, it does not wait for the rest once a call has failed: the others go on, and can be waited for. A
    future that is given twice is in the list twice.

    Args:
        futures: futures of remote calls, on any workers and clusters.
        timeout: seconds for all together; None and ``math.inf`` wait as long as the calls themselves may take.

    Raises:
        Exception: what the first call that failed raises; of those that had failed before, the first in order.
        DeadlineExceeded: the time is over; the calls go on.
        TypeError: something else is among the futures.
    """
    listed = _listed(futures, "wait_all")
    if not (listed and isinstance(listed[0], TracedFuture)):  # those of a graph have only wait()
        _check(listed, "wait_all")
        for future in _Arrivals(listed, timeout):
            future.wait()
    return [future.wait() for future in listed]


@overload
def as_completed(
    futures: Iterable[Future[T]], timeout: float | None = None
) -> Iterator[Future[T]]: ...
@overload
def as_completed(
    futures: Iterable[Future[Any]], timeout: float | None = None
) -> Iterator[Future[Any]]: ...
def as_completed(
    futures: Iterable[Future[Any]], timeout: float | None = None
) -> Iterator[Future[Any]]:
    """Return an iterator that gives each future once it is done, whether it succeeded or failed.

    As ``concurrent.futures.as_completed``, which takes these futures too, except that the thread that iterates reads the
    replies itself where it can. A future that is given twice comes once.

    Args:
        futures: futures of remote calls, on any workers and clusters.
        timeout: seconds, from now on, until all must be done; None and ``math.inf`` wait as long as the calls themselves may take.

    Raises:
        DeadlineExceeded: when the iterator is asked for more and the time is over; the calls go on.
        TypeError: something else is among the futures.
    """
    listed = _listed(futures, "as_completed")
    _check(listed, "as_completed")
    return iter(_Arrivals(listed, timeout))


def _listed(futures: Iterable[Future[Any]], name: str) -> list[Future[Any]]:
    if not isinstance(futures, Iterable):
        kind = type(futures).__qualname__
        raise TypeError(
            f"rm.{name} takes several futures; got a {kind}, which is none or only one: give a list"
        )
    return list(futures)


def _check(futures: list[Future[Any]], name: str) -> None:
    for future in futures:
        if not isinstance(future, Future):
            kind = f"{type(future).__module__}.{type(future).__qualname__}"
            hint = _HINTS.get(kind.partition(".")[0], "")
            raise TypeError(
                f"rm.{name} takes futures of remote calls (forward_async, rpc_async); got a {kind}{hint}"
            )


_HINTS = {
    "torch": ": wait for torch's own with torch.futures.wait_all",
    "concurrent": ": concurrent.futures.wait and as_completed take both kinds",
    "asyncio": ": asyncio.wait and gather take both kinds",
}


class _Arrivals:
    """The futures in the order in which they become done.

    The thread that iterates reads a single connection itself. Several it polls in turn for a moment; then each gets a
    thread that reads it.

    Args:
        futures: the futures.
        timeout: seconds until all must be done.
    """

    def __init__(self, futures: list[Future[Any]], timeout: float | None) -> None:
        self._timeout = timeout
        self._deadline = deadline_after(timeout)
        self._pending = dict.fromkeys(futures)
        self._count = len(self._pending)
        self._done: deque[Future[Any]] = deque()
        self._arrived = threading.Event()
        self._is_attended = False
        # Any future of a driver represents all of its futures. A future that is done has no driver.
        drivers = {future.driver: future for future in futures if not future.settled}
        self._has_undriven = drivers.pop(None, None) is not None
        self._drivers = [(driver, future) for driver, future in drivers.items() if driver]
        self._deadlines = sorted(d for f in self._pending if (d := f.deadline) is not None)

    def __iter__(self) -> Iterator[Future[Any]]:
        try:
            for future in self._pending:
                if not future.on_done(self._put):
                    self._put(future)
            while self._pending:
                while not self._done:
                    self._advance()
                future = self._done.popleft()
                del self._pending[future]
                yield future
        finally:
            for future in self._pending:
                future.remove_done_callback(self._put)

    def _put(self, future: Future[Any]) -> None:
        self._done.append(future)
        self._arrived.set()

    def _is_enough(self) -> bool:
        return bool(self._done)

    def _advance(self) -> None:
        """Make progress for a while, or until one more is done."""
        if len(self._drivers) == 1 and not self._has_undriven:
            [(driver, future)] = self._drivers
            driver.drive(future, self._next_deadline(), self._is_enough)
        elif self._is_attended:
            self._arrived.clear()
            if not self._done:
                deadline = self._next_deadline()
                left = _POLL_INTERVAL
                if deadline is not None:
                    left = min(left, deadline - time.monotonic())
                self._arrived.wait(left)
            self._poll()  # the thread that reads may be this one: in a callback
        else:
            end = time.monotonic() + _POLL_SECONDS
            while self._drivers and not self._done and time.monotonic() < end:
                self._poll()
            if not self._done:
                self._is_attended = True
                for future in list(self._pending):
                    future.attend()
        if not self._done:
            self._check_time()

    def _poll(self) -> None:
        for driver, future in self._drivers:
            if not self._done:
                driver.drive(future, 0.0, self._is_enough)

    def _next_deadline(self) -> float | None:
        """The next deadline, of a call or of the iteration; None where there is none."""
        deadlines = [*self._deadlines[:1], *([] if self._deadline is None else [self._deadline])]
        return min(deadlines, default=None)

    def _check_time(self) -> None:
        now = time.monotonic()
        if self._deadlines and now >= self._deadlines[0]:
            for future in list(self._pending):
                future.expire()
            self._deadlines = [deadline for deadline in self._deadlines if deadline > now]
        if not self._done and self._deadline is not None and now >= self._deadline:
            count = f"{len(self._pending)} of {self._count} calls"
            raise DeadlineExceeded(f"{count} were not done after {self._timeout} s of waiting")
