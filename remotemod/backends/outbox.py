"""Send requests without a reply to one worker, in a thread of its own."""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections.abc import Callable

from remotemod.requests import Request

__all__ = ["Outbox"]

_log = logging.getLogger("remotemod")


class Outbox:
    """A queue of requests that are sent in order, each once all requests that began before it have ended.

    So an object is not released while a call on it is still under way.

    Args:
        worker: the receiver, for the thread's name.
        send: sends one request, or a heartbeat (None); may block, and may raise.
        heartbeat: seconds of quiet after which a heartbeat is sent; None for none.
    """

    def __init__(
        self, worker: str, send: Callable[[Request | None], object], heartbeat: float | None
    ) -> None:
        self._send = send
        self._heartbeat = heartbeat
        # A queue that finalizers may put into at any moment, in the middle of another put too.
        self._queue: queue.SimpleQueue[tuple[int, Request] | None] = queue.SimpleQueue()
        self._begun = 0
        self._under_way: set[int] = set()
        self._changed = threading.Condition(threading.RLock())
        self._closed = False
        thread = threading.Thread(target=self._work, name=f"remotemod-to-{worker}", daemon=True)
        thread.start()

    def begin(self) -> int:
        """Note that a request begins; return the number for :meth:`end`."""
        with self._changed:
            self._begun += 1
            self._under_way.add(self._begun)
            return self._begun

    def end(self, number: int) -> None:
        """Note that a request has ended."""
        with self._changed:
            self._under_way.discard(number)
            self._changed.notify_all()

    def put(self, request: Request) -> None:
        """Send a request; never blocks."""
        self._queue.put((self._begun, request))

    def close(self) -> None:
        """End the thread; what has not been sent is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._queue.put(None)

    def _work(self) -> None:
        while True:
            request: Request | None = None
            try:
                item = self._queue.get(timeout=self._heartbeat)
            except queue.Empty:
                pass
            else:
                if item is None:
                    return
                after, request = item
                with self._changed:
                    self._changed.wait_for(functools.partial(self._may_send, after))
            if self._closed:
                return
            try:
                self._send(request)
            except Exception as error:  # a worker that is gone keeps nothing
                _log.debug("a request without a reply was not sent: %s", error)

    def _may_send(self, after: int) -> bool:
        return self._closed or all(number > after for number in self._under_way)
