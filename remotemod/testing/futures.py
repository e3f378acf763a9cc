"""The contract's tests of futures: their states, and waiting for one or several of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm

__all__ = ["Futures"]

_LONG = 60.0
"""Seconds after which a wait that should have ended is a failure."""


def twice(number: int) -> int:
    """Double a number."""
    return 2 * number


def refuse(number: int) -> int:
    """Raise a ValueError."""
    raise ValueError(f"not {number}")


def hold(path: str) -> str:
    """Return once there is such a file."""
    end = time.monotonic() + _LONG
    while not Path(path).exists() and time.monotonic() < end:
        time.sleep(0.005)
    return "let go"


class Late(nn.Module):
    """A module that takes its time."""

    def forward(self, x: Tensor, seconds: float) -> Tensor:
        """``x`` doubled, after a while."""
        time.sleep(seconds)
        return x * 2


class Held(nn.Module):
    """A module that waits for a file."""

    def forward(self, x: Tensor, path: str) -> Tensor:
        """``x`` doubled, once there is such a file."""
        hold(path)
        return x * 2


class Futures:
    """Tests for :class:`remotemod.testing.BackendConformance`; they ask for its ``cluster``."""

    @pytest.fixture
    def held(self, cluster: rm.Cluster, tmp_path: Path) -> Iterator[rm.Future[str]]:
        """A call that worker two does not answer before the test is over."""
        future = rm.rpc_async("two", hold, (str(tmp_path / "go"),))
        yield future
        (tmp_path / "go").touch()
        future.exception(_LONG)

    # --- states -------------------------------------------------------------------------------

    def test_an_exception_is_what_waiting_raises(self, cluster: rm.Cluster) -> None:
        """In every state ``exception`` tells, and ``wait`` and ``result`` do, the same."""
        late = rm.RemoteModule("one", Late, cluster=cluster)
        hasty = late.with_options(timeout=0.1)
        x = torch.ones(2, requires_grad=True)
        cancelled = late.forward_async(x, 0.1)
        cancelled.cancel()
        futures = [
            late.forward_async(x, 0.0),
            rm.rpc_async("one", refuse, (1,)),
            cancelled,
            hasty.forward_async(x, 0.6),
        ]
        expected = [type(None), ValueError, rm.Cancelled, rm.DeadlineExceeded]
        for future, kind in zip(futures, expected, strict=True):
            error = future.exception(_LONG)
            assert isinstance(error, kind)
            assert future.done()
            assert future.cancelled() is (kind is rm.Cancelled)
            if error is not None:
                for wait in (future.wait, future.result):
                    with pytest.raises(kind) as caught:
                        wait()
                    assert caught.value is error
        assert futures[0].result().grad_fn is not None

    def test_a_deadline_comes_though_nobody_waits(self, cluster: rm.Cluster) -> None:
        """Callbacks are called when the call's own time is over."""
        late = rm.RemoteModule("one", Late, cluster=cluster).with_options(timeout=0.1)
        called = threading.Event()
        future = late.forward_async(torch.ones(1), 0.6)
        future.add_done_callback(lambda _: called.set())
        assert called.wait(_LONG)
        assert isinstance(future.exception(), rm.DeadlineExceeded)

    def test_cancelling_ends_the_waits_of_others(self, held: rm.Future[str]) -> None:
        """A thread that waits, and one that waits for several, are woken."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            alone = pool.submit(held.exception, _LONG)
            among = pool.submit(concurrent.futures.wait, [held], _LONG)
            time.sleep(0.05)
            assert held.cancel()
            assert isinstance(alone.result(_LONG), rm.Cancelled)
            assert among.result(_LONG).done == {held}
        assert not held.cancel()

    def test_another_threads_inference_mode_is_its_own(
        self, cluster: rm.Cluster, tmp_path: Path
    ) -> None:
        """A thread that reads the answers of all in ``torch.inference_mode`` takes no gradients from the others."""
        go = str(tmp_path / "go on")
        remote = rm.RemoteModule("one", Held, cluster=cluster)
        x = torch.ones(2, requires_grad=True)
        future = remote.forward_async(x, go)
        last = rm.rpc_async("one", twice, (1,))

        def wait() -> int:
            with torch.inference_mode():
                return last.wait(_LONG)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait)
            time.sleep(0.1)
            Path(go).touch()
            assert waiting.result(_LONG) == 2
        y = future.wait(_LONG)
        (y * y).sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, torch.full((2,), 8.0))

    def test_infinity_is_no_timeout(self, cluster: rm.Cluster) -> None:
        """``math.inf`` lifts the timeout of a handle, and None leaves it; other values are refused."""
        impatient = rm.RemoteModule("one", Late, cluster=cluster).with_options(timeout=0.05)
        with pytest.raises(rm.DeadlineExceeded):
            impatient(torch.ones(1), 0.3)
        free = impatient.with_options(timeout=math.inf)
        assert free(torch.ones(1), 0.3).item() == 2
        assert free.forward_async(torch.ones(1), 0.1).wait(math.inf).item() == 2
        assert rm.rpc_sync("one", twice, (2,), timeout=math.inf) == 4
        assert cluster.ping("one", timeout=math.inf) >= 0
        for wrong, error in ((-1.0, ValueError), (math.nan, ValueError), ("5", TypeError)):
            for use in (
                lambda t: rm.rpc_sync("one", twice, (2,), timeout=t),
                lambda t: impatient.with_options(timeout=t),
                lambda t: rm.RemoteModule("one", Late, cluster=cluster, timeout=t),
                lambda t: cluster.ping("one", timeout=t),
            ):
                with pytest.raises(error, match="timeout"):
                    use(wrong)

    # --- several together ---------------------------------------------------------------------

    def test_results_of_all(self, cluster: rm.Cluster) -> None:
        """``wait_all`` gives the results in order, from all workers; the same future twice, too."""
        futures = [rm.rpc_async(("one", "two")[i % 2], twice, (i,)) for i in range(20)]
        assert rm.wait_all([*futures, futures[3]]) == [*range(0, 40, 2), 6]
        assert rm.wait_all([]) == []

    def test_a_failure_is_not_kept_waiting(self, cluster: rm.Cluster, held: rm.Future[str]) -> None:
        """``wait_all`` raises at once what a call raised, though an earlier one goes on."""
        with pytest.raises(ValueError, match="not 3"):
            rm.wait_all([held, rm.rpc_async("one", refuse, (3,))], timeout=_LONG)
        assert not held.done()

    def test_of_failures_the_first_in_order_is_raised(self, cluster: rm.Cluster) -> None:
        """Where several calls had failed before."""
        futures = [rm.rpc_async("one", refuse, (i,)) for i in range(3)]
        assert all(isinstance(f.exception(_LONG), ValueError) for f in reversed(futures))
        with pytest.raises(ValueError, match="not 0"):
            rm.wait_all(futures)

    def test_one_timeout_for_all(self, cluster: rm.Cluster, held: rm.Future[str]) -> None:
        """When it is over the calls go on."""
        quick = rm.rpc_async("one", twice, (1,))
        both: list[rm.Future[Any]] = [quick, held]
        waits: list[Callable[..., Any]] = [rm.wait_all, lambda *args: list(rm.as_completed(*args))]
        for wait in waits:
            with pytest.raises(TimeoutError, match="1 of 2 calls"):
                wait(both, 0.3)
            with pytest.raises(rm.DeadlineExceeded):
                wait([held], 0)
        assert quick.result() == 2
        assert not held.done()

    def test_the_first_to_be_done_comes_first(
        self, cluster: rm.Cluster, held: rm.Future[str], tmp_path: Path
    ) -> None:
        """``as_completed`` gives each future once, when it is done, whatever its outcome."""
        quick, bad = rm.rpc_async("one", twice, (1,)), rm.rpc_async("one", refuse, (1,))
        arriving = rm.as_completed([held, quick, bad, quick], timeout=_LONG)
        assert {next(arriving), next(arriving)} == {quick, bad}
        (tmp_path / "go").touch()
        assert [future.result() for future in arriving] == ["let go"]
        assert list(rm.as_completed([])) == []

    @pytest.mark.parametrize("name", ["wait_all", "as_completed"])
    def test_other_futures_are_refused(self, cluster: rm.Cluster, name: str) -> None:
        """The error names the class, and the function that waits for such futures."""
        wait: Callable[[Any], Any] = getattr(rm, name)
        ours = rm.rpc_async("one", twice, (1,))
        with pytest.raises(TypeError, match=r"a torch\..*Future.*torch\.futures\.wait_all"):
            wait([ours, torch.futures.Future()])
        with pytest.raises(TypeError, match="give a list"):
            wait(ours)

    def test_waiting_in_a_callback(self, cluster: rm.Cluster) -> None:
        """A callback may wait for further calls on all workers."""

        def follow(_: object) -> list[int]:
            return rm.wait_all([rm.rpc_async(w, twice, (4,)) for w in ("one", "two")], _LONG)

        assert rm.rpc_async("one", twice, (1,)).then(follow).wait(_LONG) == [8, 8]

    # --- with the standard library ------------------------------------------------------------

    def test_concurrent_futures_wait(self, cluster: rm.Cluster, held: rm.Future[str]) -> None:
        """``concurrent.futures.wait`` makes progress, and sees results, failures and what is not done."""
        good: list[rm.Future[Any]]
        good = [rm.rpc_async(worker, twice, (2,)) for worker in ("one", "one")]
        assert concurrent.futures.wait(good, _LONG) == (set(good), set())
        both: list[rm.Future[Any]] = [held, rm.rpc_async("one", twice, (2,))]
        first = concurrent.futures.wait(both, _LONG, concurrent.futures.FIRST_COMPLETED)
        assert first == ({both[1]}, {held})
        bad: list[rm.Future[Any]] = [held, rm.rpc_async("one", refuse, (2,))]
        failed = concurrent.futures.wait(bad, _LONG, concurrent.futures.FIRST_EXCEPTION)
        assert failed == ({bad[1]}, {held})
        assert concurrent.futures.wait([held, *good], 0.05) == (set(good), {held})

    def test_concurrent_futures_as_completed(
        self, cluster: rm.Cluster, held: rm.Future[str], tmp_path: Path
    ) -> None:
        """Beside futures of an executor's."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            local = pool.submit(twice, 5)
            remote = rm.rpc_async("one", twice, (6,))
            futures: list[concurrent.futures.Future[Any]] = [held, local, remote]
            arriving = concurrent.futures.as_completed(futures, _LONG)
            assert {next(arriving).result(), next(arriving).result()} == {10, 12}
            (tmp_path / "go").touch()
            assert next(arriving).result() == "let go"

    def test_asyncio_wait(self, cluster: rm.Cluster, held: rm.Future[str], tmp_path: Path) -> None:
        """``asyncio.wait`` wakes its loop for the first, for a failure, for all, and when its time is over."""

        async def main() -> None:
            quick, bad = rm.rpc_async("one", twice, (1,)), rm.rpc_async("one", refuse, (1,))
            wait: Callable[..., Any] = asyncio.wait
            done, _ = await wait([quick, held], timeout=_LONG, return_when="FIRST_COMPLETED")
            assert [future.result() for future in done] == [2]
            done, _ = await wait([held, bad], timeout=_LONG, return_when="FIRST_EXCEPTION")
            assert [isinstance(future.exception(), ValueError) for future in done] == [True]
            done, pending = await wait([quick, held], timeout=0.05)
            assert (len(done), len(pending)) == (1, 1)
            asyncio.get_running_loop().call_later(0.05, (tmp_path / "go").touch)
            done, pending = await wait([quick, held], timeout=_LONG)
            assert ({future.result() for future in done}, pending) == ({2, "let go"}, set())

        asyncio.run(main())

    def test_asyncio_takes_futures_as_its_own(
        self, cluster: rm.Cluster, held: rm.Future[str]
    ) -> None:
        """``wrap_future``, ``gather``, ``as_completed`` and ``wait_for``, which cancels what is too late."""

        async def main() -> None:
            call = rm.rpc_async
            assert await asyncio.wrap_future(call("one", twice, (1,))) == 2
            results = await asyncio.gather(
                call("one", twice, (2,)), call("one", refuse, (2,)), return_exceptions=True
            )
            assert results[0] == 4
            assert isinstance(results[1], ValueError)
            arriving = asyncio.as_completed([call("one", twice, (i,)) for i in range(3)])
            assert sorted([await future for future in arriving]) == [0, 2, 4]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(held, 0.05)
            assert held.cancelled()

        asyncio.run(main())
