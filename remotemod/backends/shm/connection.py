"""A caller's end of a connection to one worker: calls out, answers in, and what happens at the end."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.frames import CANCEL, ENDPOINT, REQUEST, VALUE, Message
from remotemod.backends.shm.leader import Leader
from remotemod.backends.shm.reader_lock import ReaderLock
from remotemod.backends.shm.replies import decode_answer
from remotemod.errors import DeadlineExceeded, RemoteModError, WorkerLost
from remotemod.future import Future
from remotemod.requests import Release, Request
from remotemod.rpc.messages import encode_request
from remotemod.rpc.ref import RemoteRef
from remotemod.timeouts import deadline_after
from remotemod.wire.codec import Codec
from remotemod.wire.fast_path import Packed

__all__ = ["DEFAULT_IN_FLIGHT", "Connection"]

DEFAULT_IN_FLIGHT = 1024
"""Calls that may be on their way to one worker; who submits more waits for answers first."""

_PATIENCE = 0.05
"""Seconds to wait for room before calls are looked for that nobody waits for and that are too late."""


class _Pending(Future[Any]):
    __slots__ = ("call",)

    def __init__(self, call: int, what: str, driver: Connection, deadline: float | None) -> None:
        super().__init__(what, driver, deadline)
        self.call = call


class Connection(Leader):
    """Sends requests to a worker and completes their futures.

    Args:
        channel: the connected channel.
        codec: packs values for this worker.
        worker: the worker's name.
        lost: makes what calls fail with, once the connection has ended with an error.
        graph: makes a reference of the number of a graph that the worker keeps.
        in_flight: calls that may be on their way at once.
    """

    def __init__(
        self,
        channel: Channel,
        codec: Codec,
        worker: str,
        lost: Callable[[Exception], WorkerLost],
        graph: Callable[[int], RemoteRef[Any]],
        in_flight: int = DEFAULT_IN_FLIGHT,
    ) -> None:
        super().__init__(channel)
        self.worker = worker
        self._codec = codec
        self._make_lost = lost
        self._graph = graph
        self._most = in_flight
        self._calls = itertools.count(1)
        # None stands for a call whose caller reads by himself.
        self._pending: dict[int, _Pending | None] = {}
        self._attending = threading.Lock()
        self._attendant: threading.Thread | None = None
        self._attends_until: float | None = None
        # By reference, so that what a release ends is found at once.
        self._endpoints: dict[int, dict[tuple[Any, ...], int]] = {}
        self._announcing = threading.Lock()

    # --- sending ------------------------------------------------------------------------------

    def exchange(self, kind: int, packed: Packed, endpoint: int, timeout: float | None) -> Any:
        """Sends a plain call and reads until its answer is there, without a future."""
        turn, me = self.turn, threading.get_ident()
        if turn.holder == me:  # in a callback
            return self.submit(kind, packed, endpoint, timeout).wait()
        until = deadline_after(timeout)
        call = next(self._calls)
        message: Message | None = None
        try:
            if not turn.try_take():
                return self.submit(kind, packed, endpoint, timeout).wait()
            if self.lost is not None:
                raise self.lost
            self._pending[call] = None
            header, frames = packed
            if self._channel.send(call, kind, header, frames, endpoint, self.while_blocked, until):
                message = self.answer_to(call, until)
        except (OSError, ValueError) as error:
            raise error if isinstance(error, RemoteModError) else self._lose(error) from error
        finally:
            # First of all, without a call: see Turn.
            if turn.holder == me:
                turn.holder = 0
            if self._pending.pop(call, self) is None and message is None:
                self._channel.post(call, CANCEL)
            turn.notify()
        if message is None:
            raise self._late(timeout)
        value, raised = decode_answer(self._codec, message, self._graph)
        if raised is not None:
            raise raised
        return value

    def request(self, request: Request, timeout: float | None) -> Future[Any]:
        """Sends any request; see :class:`remotemod.rpc.engine.Engine`."""
        return self.submit(REQUEST, encode_request(self._codec, request), 0, timeout)

    def submit(
        self, kind: int, packed: Packed, endpoint: int, timeout: float | None
    ) -> Future[Any]:
        """Sends a call and returns the future of its answer."""
        call = next(self._calls)
        until = deadline_after(timeout)
        future = _Pending(call, f"a call to '{self.worker}'", self, until)
        if len(self._pending) >= self._most and not self._make_room(until):
            future.set_exception(self._late(timeout))
            return future
        self._pending[call] = future
        try:
            if self.lost is not None:
                raise self.lost
            header, frames = packed
            if not self._channel.send(
                call, kind, header, frames, endpoint, self.while_blocked, until
            ):
                self._pending.pop(call, None)
                future.set_exception(self._late(timeout))
        except RemoteModError as error:
            self._pending.pop(call, None)
            future.set_exception(error)
        except (OSError, ValueError) as error:
            self._lose(error)
        except BaseException:
            self._pending.pop(call, None)
            raise
        self.drain()
        return future

    def _make_room(self, until: float | None) -> bool:
        """Waits until a further call may be on its way; False when the time is over first."""
        while len(self._pending) >= self._most and self.lost is None:
            now = time.monotonic()
            if until is not None and now >= until:
                return False
            soon = now + _PATIENCE
            self.advance(
                lambda: len(self._pending) < self._most or self.lost is not None,
                soon if until is None else min(soon, until),
            )
            if len(self._pending) >= self._most:
                for each in self._futures():
                    each.expire()  # nobody may be waiting for it
        return True

    def _futures(self) -> list[_Pending]:
        return [each for each in list(self._pending.values()) if each is not None]

    def endpoint(self, ref: int, common: tuple[Any, ...], timeout: float | None) -> int:
        """The number under which the worker knows what all calls of a method have in common.

        Args:
            ref: the module.
            common: the rest: stub, method, device, and whether a device map is set.
            timeout: seconds that it may take to say so.

        Raises:
            WorkerLost: the worker is gone.
            DeadlineExceeded: it reads nothing.
        """
        found = self._endpoints.get(ref, {}).get(common)
        if found is not None:
            return found
        with self._announcing:
            found = self._endpoints.get(ref, {}).get(common)
            if found is None:
                found = next(self._calls)
                header, _ = self._codec.encode((ref, *common))
                if self.lost is not None:
                    raise self.lost
                until, blocked = deadline_after(timeout), self.while_blocked
                try:
                    sent = self._channel.send(found, ENDPOINT, header, blocked=blocked, until=until)
                except OSError as error:
                    raise self._lose(error) from error
                if not sent:
                    raise self._late(timeout)
                # Only now may others use it: their calls must not overtake the announcement.
                self._endpoints.setdefault(ref, {})[common] = found
        return found

    def post(self, request: Request) -> None:
        """Sends a request that nobody answers, now or with the next send; safe in finalizers."""
        if type(request) is Release:
            for ref in request.refs:
                self._endpoints.pop(ref, None)
        if self.lost is None:
            self._channel.post(0, REQUEST, encode_request(self._codec, request)[0])

    # --- receiving ----------------------------------------------------------------------------

    def _dispatch(self, message: Message) -> None:
        """Completes the future that a message answers."""
        call = message.call
        future = self._pending.get(call, self)
        if future is None:
            self._kept[call] = message
        elif future is self:
            # Given up (deadline, cancel): the answer goes nowhere, but its references must be let go.
            if message.kind != VALUE or message.endpoint:
                decode_answer(self._codec, message, self._graph)
            return
        else:
            assert isinstance(future, _Pending)
            value, raised = decode_answer(self._codec, message, self._graph)
            if raised is None:
                future.set_result(value)
            else:
                future.set_exception(raised)
            self.turn.notify()
        self._pending.pop(call, None)

    def drive(
        self,
        future: Future[Any],
        until: float | None,
        enough: Callable[[], object] | None = None,
    ) -> None:
        """Reads until the future is done, or it is enough, or the time is over."""
        self.advance(enough or (lambda: future.settled), until)

    def attend(self, future: Future[Any]) -> None:
        """Sees to it that somebody reads, though nobody waits: for callbacks, and ``await``."""
        with self._attending:
            if self._attendant is None:
                thread = threading.Thread(
                    target=self._attend, name=f"remotemod-{self.worker}", daemon=True
                )
                thread.start()
                self._attendant = thread
                return
            sooner = future.deadline is not None and (
                self._attends_until is None or future.deadline < self._attends_until
            )
            if not sooner:
                return
            self._attends_until = future.deadline
        self._channel.wake()
        self.turn.notify()

    def _attend(self) -> None:
        while True:
            with self._attending:
                if not self._pending:
                    self._attendant = None
                    return
                futures = self._futures()
                deadlines = [each.deadline for each in futures if each.deadline is not None]
                until = self._attends_until = min(deadlines, default=None)
            self.advance(functools.partial(self._attended, until), until)
            for each in futures:
                each.expire()

    def _attended(self, until: float | None) -> bool:
        return not self._pending or self._attends_until != until

    def forget(self, future: Future[Any]) -> None:
        """Gives a call up: the worker need not begin it, and who waits for it is woken."""
        if isinstance(future, _Pending) and self._pending.pop(future.call, None) is not None:
            self._channel.post(future.call, CANCEL)
        self._channel.wake()
        self.turn.notify()

    # --- the end ------------------------------------------------------------------------------

    def _lose(self, error: Exception) -> RemoteModError:
        """Fails every call that is under way; returns what further ones fail with."""
        if self.lost is None:
            self.lost = self._make_lost(error)
            self.lost.__cause__ = error
        while self._pending:
            try:
                _, future = self._pending.popitem()
            except KeyError:
                break
            if future is not None:
                future.set_exception(self.lost)
        self.turn.notify()
        return self.lost

    def _late(self, timeout: float | None) -> DeadlineExceeded:
        return DeadlineExceeded(f"a call to '{self.worker}' did not finish in time ({timeout} s)")

    def disown(self, reason: RemoteModError) -> None:
        """In a forked process: whatever dies or is called here is no business of the worker's."""
        self.turn = ReaderLock()  # who had it is not here
        self.lost = reason
        self._channel.disown()

    def close(self, reason: RemoteModError) -> None:
        """Ends the connection; calls that are under way fail with ``reason``."""
        if self.lost is None:
            self.lost = reason
        self._channel.wake()
        self._lose(reason)
        self.turn.wait_for_others(timeout=5)
        self._channel.close()
