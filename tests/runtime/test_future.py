"""Futures, without any backend."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import remotemod as rm


def test_a_future_is_done_once() -> None:
    """The second outcome is refused and changes nothing."""
    future: rm.Future[int] = rm.Future()
    assert not future.done()
    assert future.set_result(1)
    assert not future.set_result(2)
    assert not future.set_exception(ValueError())
    assert not future.cancel()
    assert future.wait() == future.result() == 1
    assert future.exception() is None


def test_waiting_can_give_up_and_try_again() -> None:
    """``wait(timeout)`` raises and leaves the future pending."""
    future: rm.Future[int] = rm.Future("a slow call")
    with pytest.raises(TimeoutError, match="a slow call"):
        future.wait(0.01)
    future.set_result(3)
    assert future.wait(0.01) == 3


def test_a_deadline_fails_the_future_for_good() -> None:
    """After its own deadline a future stays failed."""
    future: rm.Future[int] = rm.Future(deadline=time.monotonic() + 0.01)
    with pytest.raises(rm.DeadlineExceeded):
        future.wait()
    assert not future.set_result(1)
    assert future.done()


def test_cancelling_ends_the_wait_of_another_thread() -> None:
    """Whoever waits gets Cancelled."""
    future: rm.Future[int] = rm.Future()
    threading.Timer(0.05, future.cancel).start()
    with pytest.raises(rm.Cancelled):
        future.wait(5)
    assert future.cancelled()


def test_then_passes_errors_on() -> None:
    """What the callback raises, or the parent's own error taken in it, is the child's error."""
    parent: rm.Future[int] = rm.Future()
    child = parent.then(lambda f: 1 // f.wait())
    parent.set_result(0)
    with pytest.raises(ZeroDivisionError):
        child.wait()


def test_a_result_is_converted_once() -> None:
    """A converter runs in the first thread that takes the result, and once."""
    future: rm.Future[list[int]] = rm.Future()
    seen: list[int] = []
    future.convert(lambda value: seen.append(1) or [*value, 1])
    future.set_result([0])
    assert future.wait() == future.wait() == [0, 1]
    assert seen == [1]


def test_cancelling_a_task_cancels_the_call() -> None:
    """A cancelled ``await`` gives the call up."""
    future: rm.Future[int] = rm.Future()

    async def main() -> None:
        task = asyncio.ensure_future(_await(future))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert future.cancelled()


async def _await(future: rm.Future[int]) -> int:
    return await future
