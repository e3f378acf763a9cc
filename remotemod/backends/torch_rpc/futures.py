"""Torch's futures, timeouts and errors as ours."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.rpc.constants import UNSET_RPC_TIMEOUT

from remotemod.backends.torch_rpc.owner import CODEC
from remotemod.backends.torch_rpc.script_errors import script_failure
from remotemod.errors import DeadlineExceeded, PlacementError, RemoteModError, WorkerLost
from remotemod.future import Future
from remotemod.trees import map_tensors
from remotemod.wire.failure import unpack_failure

__all__ = ["future_of", "rpc_timeout", "translated"]

Finish = Callable[[Any], Any]
"""Makes the result of a call from the value of torch's future; may raise the call's error."""


def rpc_timeout(timeout: float | None) -> float:
    """The timeout for torch's RPC: None is the agent's own, ``math.inf`` its 0, for none.

    It counts milliseconds, so a shorter time would be none, too.
    """
    if timeout is None:
        return float(UNSET_RPC_TIMEOUT)
    return 0.0 if math.isinf(timeout) else max(timeout, 1e-3)


def future_of(
    inner: Any,
    what: str,
    finish: Finish,
    translate: Callable[[Exception], Exception],
    *,
    even_unwanted: bool = False,
) -> Future[Any]:
    """A future of ours over one of torch's.

    Args:
        inner: torch's future.
        what: names the call in error messages.
        finish: makes the result.
        translate: makes our error from torch's.
        even_unwanted: whether the result is made, and dropped, though the future is dropped.
    """
    driver = _Driver(inner, finish, translate)
    future: Future[Any] = Future(what, driver)
    if even_unwanted:
        weakref.finalize(future, driver.finish_anyway).atexit = False
    return future


class _Driver:
    """The driver of a future; it holds no reference to it, so that a dropped future drops the result."""

    def __init__(
        self, inner: Any, finish: Finish, translate: Callable[[Exception], Exception]
    ) -> None:
        self._inner = inner
        self._finish = finish
        self._translate = translate
        self._outcome: tuple[Any, Exception | None] | None = None
        self._outcome_lock = threading.Lock()
        self._arrived: threading.Event | None = None
        self._lock = threading.Lock()

    def drive(
        self,
        future: Future[Any],
        deadline: float | None,
        enough: Callable[[], object] | None = None,
    ) -> None:
        """Wait until torch's future is done or the deadline has passed.

        Without a deadline torch's own wait is taken, which costs fewer thread switches and cannot be ended.
        """
        if deadline is not None and not self._inner.done():
            left = deadline - time.monotonic()
            if left <= 0 or not self._watch(future).wait(left):
                return
        self._complete(future)

    def attend(self, future: Future[Any]) -> None:
        """Complete the future as soon as torch's is done, though no thread waits."""
        self._watch(future)

    def forget(self, future: Future[Any]) -> None:
        """Wake the threads that wait with a deadline. Torch's RPC cannot cancel a call; its result is dropped."""
        with self._lock:
            if self._arrived is not None:
                self._arrived.set()

    def _watch(self, future: Future[Any]) -> threading.Event:
        with self._lock:
            if self._arrived is not None:
                return self._arrived
            arrived = self._arrived = threading.Event()

        def finish(_: Any) -> None:
            with contextlib.ExitStack() as streams:
                for device in _arrived_on(self._inner):
                    streams.enter_context(torch.cuda.stream(torch.cuda.default_stream(device)))
                self._complete(future)
            arrived.set()

        self._inner.add_done_callback(finish)
        return arrived

    def finish_anyway(self) -> None:
        """Make the result when it arrives, though the future is dropped."""
        if self._outcome is None:
            self._inner.add_done_callback(lambda _: self._make())

    def _make(self) -> tuple[Any, Exception | None]:
        """The result or the error; once, because a result may hold a reference that is counted."""
        try:
            answer, failure = self._inner.wait(), None
        except Exception as error:
            answer, failure = None, error
        with self._outcome_lock:
            if self._outcome is None:
                try:
                    if failure is not None:
                        raise failure
                    self._outcome = self._finish(answer), None
                except Exception as error:
                    self._outcome = None, self._translate(error)
            return self._outcome

    def _complete(self, future: Future[Any]) -> None:
        if future.settled:
            return
        value, error = self._make()
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _arrived_on(inner: Any) -> set[torch.device]:
    """In a callback of torch's: the devices of an answer's tensors, once these have their values.

    Torch has only queued that, on streams that are the callback's own (``torch.futures.Future.add_done_callback``). The
    result is taken in another thread, whose streams do not wait for these.
    """
    devices: set[torch.device] = set()
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # so no such tensor is here
        return devices

    def arrived(tensor: Tensor) -> Tensor:
        if tensor.is_cuda:  # torch's RPC carries tensors of no other device
            devices.add(tensor.device)
            torch.cuda.current_stream(tensor.device).synchronize()
            tensor.record_stream(torch.cuda.default_stream(tensor.device))
        return tensor

    with contextlib.suppress(Exception):  # a failure has no tensors
        map_tensors(inner.wait(), arrived)
    return devices


def translated(error: Exception, worker: str) -> Exception:
    """The error of ours for one that torch's RPC raised; an error that is not torch's own is returned as it is."""
    if isinstance(error, RemoteModError) or not isinstance(error, RuntimeError):
        return error
    text = str(error)
    ours: Exception
    if text.startswith("RPCErr:1:"):
        ours = DeadlineExceeded(f"a call to '{worker}' did not finish in time: {text[9:]}")
    elif "tensorpipe/" in text or "RPC agent is not running" in text:
        ours = WorkerLost(f"worker '{worker}' is gone: {text}", worker)
    elif "could not find destination" in text:
        ours = PlacementError(f"there is no worker '{worker}': {text}")
    elif text.startswith("RPC has not been initialized"):
        ours = RemoteModError("the cluster is closed: torch's RPC was shut down in this process")
    elif "in the TorchScript interpreter" in text:
        ours = unpack_failure(script_failure(text, worker, CODEC), CODEC)
    else:
        return error
    ours.__cause__ = error
    return ours
