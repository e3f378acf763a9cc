"""Futures, without any backend."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import random
import threading
import time
import weakref

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


# --- conversion -------------------------------------------------------------------------------


def fail(value: object) -> object:
    raise KeyError(value)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_failing_conversion_is_the_outcome(late: bool) -> None:
    """All ways to ask agree, whether the conversion was given before the result came or after."""
    future: rm.Future[int] = rm.Future()
    if not late:
        future.convert(fail)
    future.set_result(1)
    if late:
        future.convert(fail)
    error = future.exception()
    assert isinstance(error, KeyError)
    with pytest.raises(KeyError) as caught:
        future.wait()
    assert caught.value is error
    assert future.done()
    assert not future.cancelled()
    assert isinstance(future.then(lambda f: f.exception()).wait(), KeyError)
    done, _ = concurrent.futures.wait([future], 0, concurrent.futures.FIRST_EXCEPTION)
    assert done == {future}
    assert "failed" in repr(future)

    async def main() -> None:
        with pytest.raises(KeyError):
            await future
        with pytest.raises(KeyError):
            await asyncio.wrap_future(future)

    asyncio.run(main())


def test_conversions_follow_each_other() -> None:
    """Each gets what the one before has made."""
    future: rm.Future[int] = rm.Future()
    future.convert(lambda value: value + 1)
    future.convert(lambda value: value * 10)
    future.set_result(1)
    future.convert(str)
    assert future.wait() == "20"


def test_an_error_is_not_converted() -> None:
    """Nor is a cancelled call's late result."""
    seen: list[object] = []
    for end in (lambda f: f.set_exception(ValueError("no")), rm.Future.cancel):
        future: rm.Future[int] = rm.Future()
        future.convert(seen.append)
        end(future)
        assert future.exception() is not None
    assert not seen


# --- with the standard library ----------------------------------------------------------------


def test_waiters_hear_of_each_outcome() -> None:
    """A wait for the first failure ends with it, also where a conversion fails; cancelled is done."""
    good, bad, cancelled, open_ = (rm.Future() for _ in range(4))
    bad.convert(fail)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            concurrent.futures.wait,
            [good, bad, cancelled, open_],
            60,
            concurrent.futures.FIRST_EXCEPTION,
        )
        while not all(future._guard and future._guard.waiters for future in (good, bad, open_)):
            time.sleep(0.001)
        cancelled.cancel()
        good.set_result(1)
        bad.set_result(1)
        assert waiting.result(60) == ({good, bad, cancelled}, {open_})
    assert not open_._guard.waiters


def test_two_waits_over_mixed_futures() -> None:
    """Threads that wait for ours and others, in any order, do not wait for each other."""
    ours: list[rm.Future[int]] = [rm.Future() for _ in range(20)]
    theirs: list[concurrent.futures.Future[int]] = [concurrent.futures.Future() for _ in range(20)]
    mixed = [*ours, *theirs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(concurrent.futures.wait, random.sample(mixed, 40)) for _ in range(8)]
        for future in mixed:
            future.set_result(1)
        assert all(len(wait.result(60).done) == 40 for wait in waits)


def test_a_deadline_ends_every_kind_of_wait() -> None:
    """Though no thread is there that would look at the time."""

    def late() -> rm.Future[int]:
        return rm.Future(deadline=time.monotonic() + 0.05)

    [future] = concurrent.futures.wait([late()], 60).done
    assert isinstance(future.exception(), rm.DeadlineExceeded)
    [future] = rm.as_completed([late()], 60)
    assert isinstance(future.exception(), rm.DeadlineExceeded)
    assert isinstance(late().then(lambda f: f.exception()).wait(60), rm.DeadlineExceeded)

    async def main() -> None:
        with pytest.raises(rm.DeadlineExceeded):
            await late()

    asyncio.run(main())


def test_deadlines_come_in_their_order() -> None:
    """One that is given later and is sooner comes first, and calls that are done have none."""
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    kept = []  # by those who answer
    now = time.monotonic()
    for name, seconds in (("last", 0.3), ("first", 0.1), ("done", 0.05), ("second", 0.2)):
        future: rm.Future[int] = rm.Future(deadline=now + seconds)
        future.add_done_callback(lambda f, name=name: ended.put(name))
        if name == "done":
            future.set_result(1)
        kept.append(future)
    assert [ended.get(timeout=60) for _ in range(4)] == ["done", "first", "second", "last"]


def test_callbacks_can_be_taken_back() -> None:
    """Each as often as it was given; the others stay."""
    future: rm.Future[int] = rm.Future()
    seen: list[object] = []
    future.add_done_callback(seen.append)
    future.add_done_callback(seen.append)
    future.add_done_callback(lambda f: seen.append("kept"))
    assert future.remove_done_callback(seen.append) == 2
    assert future.remove_done_callback(seen.append) == 0
    future.set_result(1)
    assert seen == ["kept"]
    assert future.remove_done_callback(seen.append) == 0


def test_a_loop_that_is_closed_is_left_alone() -> None:
    """A call that ends after the loop that waited for it raises nowhere."""
    future: rm.Future[int] = rm.Future()

    async def main() -> None:
        done, pending = await asyncio.wait([future], timeout=0.01)
        assert (done, len(pending)) == (set(), 1)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), 0.01)

    asyncio.run(main())
    assert future.set_result(1) or future.cancelled()


def test_an_executor_maps_over_futures() -> None:
    """``Executor.map`` waits with what is left of its time, which may be less than nothing."""
    future: rm.Future[int] = rm.Future()
    future.set_result(3)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.map(rm.Future.result, [future], timeout=60)) == [3]
    assert future.result(-1) == 3


def test_a_failed_wait_keeps_no_future() -> None:
    """The error that was raised does not hold the future, and what that holds."""
    future: rm.Future[int] = rm.Future()
    future.set_exception(ValueError("no"))
    known = weakref.ref(future)
    error = future.exception()
    with pytest.raises(ValueError, match="no"):
        future.wait()
    del future
    assert error is not None
    assert known() is None
