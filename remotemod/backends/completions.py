"""Make results of replies: in the thread that waits for one, or in a thread of its own where none does."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from remotemod.expiry import expire_in_time
from remotemod.future import Future
from remotemod.rpc.messages import Message

__all__ = ["Completions"]


class Completions:
    """The completion of results when their replies arrive, whether a thread waits for them or not.

    The transport's own threads complete nothing: a callback of a result may wait for another reply, which they must
    be free to deliver.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[tuple[_Completion, Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._work, name="remotemod-replies", daemon=True).start()

    def result_of(
        self,
        reply: Future[Message],
        decode: Callable[[Message], Any],
        what: str,
        deadline: float | None,
    ) -> Future[Any]:
        """The result of a request.

        Args:
            reply: the future of its reply's message.
            decode: decodes the result from the message; may raise the request's error.
            what: names the request in messages.
            deadline: the ``time.monotonic()`` at which it has failed; None for never.
        """
        completion = _Completion(reply, decode)
        result: Future[Any] = Future(what, completion, deadline)
        reply.add_done_callback(lambda _: self._arrived.put((completion, result)))
        return result

    def close(self) -> None:
        """End the thread once it has completed what has arrived."""
        self._arrived.put(None)

    def _work(self) -> None:
        while (arrived := self._arrived.get()) is not None:
            completion, result = arrived
            completion.complete(result)
            del arrived, completion, result  # or the last one would live until the next arrives


class _Completion:
    """The completion of one result; the driver of its future."""

    def __init__(self, reply: Future[Message], decode: Callable[[Message], Any]) -> None:
        self._reply = reply
        self._decode = decode
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._lock = threading.Lock()

    def complete(self, result: Future[Any]) -> None:
        """Complete the result of a reply that is there; in several threads at once if need be."""
        with self._lock:
            if self._outcome is None:
                try:
                    self._outcome = self._decode(self._reply.result()), None
                except BaseException as error:
                    self._outcome = None, error
        value, failure = self._outcome
        if failure is None:
            result.set_result(value)
        else:
            result.set_exception(failure)

    def drive(
        self,
        future: Future[Any],
        deadline: float | None,
        enough: Callable[[], object] | None = None,
    ) -> None:
        """Wait for the reply until the deadline, and complete the result if it is there."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        with contextlib.suppress(TimeoutError, FutureTimeout, CancelledError):
            self._reply.exception(left)
        if self._reply.done():
            self.complete(future)

    def attend(self, future: Future[Any]) -> None:
        """Fail the future at its deadline; everything else is done without that."""
        expire_in_time(future)

    def forget(self, future: Future[Any]) -> None:
        """Cancel the reply."""
        self._reply.cancel()
