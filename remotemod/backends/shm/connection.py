"""A caller's end of a connection to one worker: futures, who reads, and what happens at the end."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from remotemod.backends.shm.carriage import decode_answer, encode_request
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.frames import CALL, GRAD, REQUEST, ROUTE, VALUE, Message
from remotemod.errors import ProtocolError, RemoteModError, WorkerLost
from remotemod.runtime.future import Future
from remotemod.runtime.requests import Call, Release, Request
from remotemod.wire.codec import Codec
from remotemod.wire.express import pack_row, unpack_value

__all__ = ["Connection"]

_NO_ROUTES: dict[tuple[Any, ...], int] = {}


class _Pending(Future[Any]):
    __slots__ = ("call",)

    def __init__(self, call: int, what: str, driver: Connection, deadline: float | None) -> None:
        super().__init__(what, driver, deadline)
        self.call = call


class Connection:
    """Sends requests to a worker and completes their futures.

    There is no reader thread on the way of a blocking call: whoever waits reads, for itself and for the
    others; only when nobody waits (callbacks, ``await``) a thread is started, and it ends when there is
    nothing left to read.

    Args:
        channel: the connected channel.
        codec: packs values for this worker.
        worker: the worker's name.
        why_lost: tells how the worker ended, once the connection has.
    """

    def __init__(
        self, channel: Channel, codec: Codec, worker: str, why_lost: Callable[[], str]
    ) -> None:
        self.worker = worker
        self._channel = channel
        self._codec = codec
        self._why_lost = why_lost
        self._calls = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._stash: deque[Message] = deque()
        self._turn = threading.Condition(threading.Lock())
        self._reading = False
        self._waiting = 0
        self._attendant: threading.Thread | None = None
        self._lost: RemoteModError | None = None
        # By reference, so that what a release ends is found at once.
        self._routes: dict[int, dict[tuple[Any, ...], int]] = {}
        self._announcing = threading.Lock()

    # --- sending ------------------------------------------------------------------------------

    def submit(self, request: Request, timeout: float | None) -> Future[Any]:
        """Sends a request; see :class:`remotemod.runtime.backend.Backend`."""
        packed = pack_row(request.args, request.kwargs) if isinstance(request, Call) else None
        header, frames = packed or encode_request(self._codec, request)
        call = next(self._calls)
        deadline = None if timeout is None else time.monotonic() + timeout
        future = _Pending(call, f"a call to '{self.worker}'", self, deadline)
        self._pending[call] = future
        try:
            if self._lost is not None:
                raise self._lost
            kind, route = REQUEST, 0
            if packed is not None and isinstance(request, Call):
                kind, route = self._on_route(request)
            self._channel.send(call, kind, header, frames, self._while_blocked, route)
        except (OSError, ValueError) as error:
            self._lose(error)
        except RemoteModError as error:
            self._pending.pop(call, None)
            future.set_exception(error)
        except BaseException:
            # Half a message cannot be taken back: the connection is of no more use.
            self._lose(ProtocolError("a send was interrupted"))
            raise
        if self._stash:
            self._drain()
        return future

    def _on_route(self, request: Call) -> tuple[int, int]:
        """The kind of the message for a call of plain values, and its route's number."""
        common = request.stub, request.method, request.device, request.is_device_map_set
        found = self._routes.get(request.ref, _NO_ROUTES).get(common)
        if found is None:
            with self._announcing:
                found = self._routes.get(request.ref, _NO_ROUTES).get(common)
                if found is None:
                    found = next(self._calls)
                    header, _ = self._codec.encode((request.ref, *common))
                    self._channel.send(found, ROUTE, header, (), self._while_blocked)
                    # Only now may others use it: their calls must not overtake the announcement.
                    self._routes.setdefault(request.ref, {})[common] = found
        return CALL | GRAD if request.grad else CALL, found

    def post(self, request: Request) -> None:
        """Sends a request that nobody answers, now or with the next send; safe in finalizers."""
        if type(request) is Release:
            for ref in request.refs:
                self._routes.pop(ref, None)
        if self._lost is None:
            self._channel.post(0, REQUEST, encode_request(self._codec, request)[0])

    def _while_blocked(self) -> None:
        """The worker takes no more: it may be waiting for its answers to be read, so read them."""
        with self._turn:
            reader = not self._reading
            if reader:
                self._reading = True
        if not reader:
            self._channel.wait_writable()
            return
        try:
            self._channel.wait_either()
            message = self._channel.receive(0.0)
            if message is not None:
                # Completing a future runs callbacks, and those may send: not in the middle of a send.
                self._stash.append(message)
        except EOFError as error:
            raise BrokenPipeError(str(error)) from error
        finally:
            self._pass_on()

    # --- receiving: the Driver of the futures -------------------------------------------------

    def drive(self, future: Future[Any], until: float | None) -> None:
        """Reads until the future is done or the time is over."""
        with self._turn:
            self._waiting += 1
            try:
                while self._reading and not future.settled:
                    left = None if until is None else until - time.monotonic()
                    if left is not None and left <= 0:
                        return
                    self._turn.wait(left)
                if future.settled:
                    return
                self._reading = True
            finally:
                self._waiting -= 1
        try:
            self._read(lambda: future.settled, until)
        finally:
            self._pass_on()

    def _read(self, enough: Callable[[], bool], until: float | None) -> None:
        while not enough():
            try:
                message = self._stash.popleft() if self._stash else self._channel.receive(until)
            except (EOFError, OSError, ValueError, ProtocolError) as error:
                self._lose(error)
                return
            if message is not None:
                self._dispatch(message)
            elif until is not None and time.monotonic() >= until:
                return

    def _pass_on(self) -> None:
        with self._turn:
            self._reading = False
            self._turn.notify_all()

    def _drain(self) -> None:
        while self._stash:
            try:
                message = self._stash.popleft()
            except IndexError:
                return
            self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        future = self._pending.pop(message.call, None)
        if future is None:
            # Given up (deadline, cancel): the answer goes nowhere, but its references must be let go.
            if message.kind != VALUE:
                decode_answer(self._codec, message)
            return
        error: BaseException | None = None
        if message.kind == VALUE:
            try:
                value = unpack_value(message.header, message.frames)
            except ProtocolError as problem:
                error = problem
        else:
            value, error = decode_answer(self._codec, message)
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
        if self._waiting:
            with self._turn:
                self._turn.notify_all()

    def attend(self) -> None:
        """Sees to it that somebody reads."""
        with self._turn:
            if self._attendant is not None:
                return
            self._attendant = threading.Thread(
                target=self._attend, name=f"remotemod-{self.worker}", daemon=True
            )
            self._attendant.start()

    def _attend(self) -> None:
        while True:
            with self._turn:
                while self._reading:
                    self._turn.wait()
                if not self._pending:
                    self._attendant = None
                    return
                self._reading = True
            try:
                deadlines = [f.deadline for f in list(self._pending.values()) if f.deadline]
                self._read(lambda: not self._pending, min(deadlines, default=None))
            finally:
                self._pass_on()
            for future in list(self._pending.values()):
                future.expire()

    def forget(self, future: Future[Any]) -> None:
        """Gives a call up; wakes whoever waits for it."""
        if isinstance(future, _Pending):
            self._pending.pop(future.call, None)
        self._channel.wake()
        with self._turn:
            self._turn.notify_all()

    # --- the end ------------------------------------------------------------------------------

    def _lose(self, error: Exception) -> None:
        """Fails every call that is under way."""
        if self._lost is None:
            why = self._why_lost()
            self._lost = WorkerLost(f"worker '{self.worker}' is gone: {why or error}", self.worker)
            self._lost.__cause__ = error
        while self._pending:
            try:
                _, future = self._pending.popitem()
            except KeyError:
                break
            future.set_exception(self._lost)
        with self._turn:
            self._turn.notify_all()

    def close(self, reason: RemoteModError) -> None:
        """Ends the connection; calls that are under way fail with ``reason``."""
        if self._lost is None:
            self._lost = reason
        self._channel.wake()
        self._lose(reason)
        with self._turn:
            # Nobody reads a socket that is being closed.
            self._turn.wait_for(lambda: not self._reading, timeout=5)
            self._channel.close()
