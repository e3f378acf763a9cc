"""A caller's end of a connection to one worker: sends calls, completes their futures, fails them at the end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from remotemod.backends.shm.background_reader import BackgroundReader
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.interrupt_safe_lock import InterruptSafeLock
from remotemod.backends.shm.leader_followers import LeaderFollowers
from remotemod.backends.shm.pending import PendingCall, PendingCalls
from remotemod.backends.shm.protocol import CANCEL, ENDPOINT, REQUEST, VALUE, Message
from remotemod.backends.shm.replies import decode_reply
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
"""Calls that may be in flight to one worker; a thread that submits more waits for replies first."""

_ROOM_TIMEOUT = 0.05
"""Seconds to wait for room before calls are failed that are late and for which no thread may be waiting."""


class Connection(LeaderFollowers):
    """Sends requests to a worker and completes their futures.

    Args:
        channel: the connected channel.
        codec: packs values for this worker.
        worker: the worker's name.
        lost_error: makes what calls fail with, once the connection has ended with an error.
        graph_ref: makes a reference of the number of a graph that the worker keeps.
        in_flight: calls that may be in flight at once.
    """

    def __init__(
        self,
        channel: Channel,
        codec: Codec,
        worker: str,
        lost_error: Callable[[Exception], WorkerLost],
        graph_ref: Callable[[int], RemoteRef[Any]],
        in_flight: int = DEFAULT_IN_FLIGHT,
    ) -> None:
        super().__init__(channel)
        self.worker = worker
        self._codec = codec
        self._lost_error = lost_error
        self._graph_ref = graph_ref
        self._in_flight = in_flight
        self._numbers = itertools.count(1)
        self._pending = PendingCalls()
        self._background = BackgroundReader(self, self._pending, f"remotemod-{worker}")
        # By reference, so that a release finds those of its module at once.
        self._endpoint_ids: dict[int, dict[tuple[Any, ...], int]] = {}
        self._announcing = threading.Lock()

    # --- sending ------------------------------------------------------------------------------

    def exchange(self, kind: int, packed: Packed, endpoint_id: int, timeout: float | None) -> Any:
        """Sends a plain call and reads until its reply has arrived, without a future."""
        lock, me = self.reader_lock, threading.get_ident()
        if lock.holder == me:  # in a callback
            return self.submit(kind, packed, endpoint_id, timeout).wait()
        deadline = deadline_after(timeout)
        call = next(self._numbers)
        message: Message | None = None
        try:
            if not lock.try_acquire():
                return self.submit(kind, packed, endpoint_id, timeout).wait()
            if self.lost is not None:
                raise self.lost
            self._pending[call] = None
            header, frames = packed
            if self._channel.send(
                call, kind, header, frames, endpoint_id, self._read_while_blocked, deadline
            ):
                message = self._read_reply(call, deadline)
        except (OSError, ValueError) as error:
            raise error if isinstance(error, RemoteModError) else self._lose(error) from error
        finally:
            # First of all, and without a call: see InterruptSafeLock.
            if lock.holder == me:
                lock.holder = 0
            if self._pending.pop(call, self) is None and message is None:
                self._channel.post(call, CANCEL)
            lock.notify()
        if message is None:
            raise self._late(timeout)
        value, failure = decode_reply(self._codec, message, self._graph_ref)
        if failure is not None:
            raise failure
        return value

    def request(self, request: Request, timeout: float | None) -> Future[Any]:
        """Sends any request; see :class:`remotemod.rpc.engine.Engine`."""
        return self.submit(REQUEST, encode_request(self._codec, request), 0, timeout)

    def submit(
        self, kind: int, packed: Packed, endpoint_id: int, timeout: float | None
    ) -> Future[Any]:
        """Sends a call and returns the future of its result."""
        call = next(self._numbers)
        deadline = deadline_after(timeout)
        future = PendingCall(call, f"a call to '{self.worker}'", self, deadline)
        if len(self._pending) >= self._in_flight and not self._wait_for_room(deadline):
            future.set_exception(self._late(timeout))
            return future
        self._pending[call] = future
        try:
            if self.lost is not None:
                raise self.lost
            header, frames = packed
            if not self._channel.send(
                call, kind, header, frames, endpoint_id, self._read_while_blocked, deadline
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
        self._dispatch_stash()
        return future

    def _wait_for_room(self, deadline: float | None) -> bool:
        """Waits until one more call may be in flight; False when the deadline passes before."""
        while not self._has_room():
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            soon = now + _ROOM_TIMEOUT
            self.read_until(self._has_room, soon if deadline is None else min(soon, deadline))
            if len(self._pending) >= self._in_flight:
                self._pending.expire()
        return True

    def _has_room(self) -> bool:
        return len(self._pending) < self._in_flight or self.lost is not None

    def endpoint_id(self, ref: int, common: tuple[Any, ...], timeout: float | None) -> int:
        """The number under which the worker knows what all calls of a method have in common; announced to it once.

        Args:
            ref: the module.
            common: the rest: stub, method, device, and whether a device map is set.
            timeout: seconds that the announcement may take.

        Raises:
            WorkerLost: the worker is gone.
            DeadlineExceeded: it reads nothing.
        """
        number = self._endpoint_ids.get(ref, {}).get(common)
        if number is not None:
            return number
        with self._announcing:
            number = self._endpoint_ids.get(ref, {}).get(common)
            if number is None:
                number = next(self._numbers)
                self._announce(number, (ref, *common), timeout)
                # Only now may other threads use it: their calls must not overtake the announcement.
                self._endpoint_ids.setdefault(ref, {})[common] = number
        return number

    def _announce(self, number: int, endpoint: tuple[Any, ...], timeout: float | None) -> None:
        header, _ = self._codec.encode(endpoint)
        if self.lost is not None:
            raise self.lost
        deadline = deadline_after(timeout)
        try:
            sent = self._channel.send(
                number,
                ENDPOINT,
                header,
                when_full=self._read_while_blocked,
                deadline=deadline,
            )
        except OSError as error:
            raise self._lose(error) from error
        if not sent:
            raise self._late(timeout)

    def post(self, request: Request) -> None:
        """Sends a request that is not answered, now or with the next send; safe in finalizers."""
        if type(request) is Release:
            for ref in request.refs:
                self._endpoint_ids.pop(ref, None)
        if self.lost is None:
            self._channel.post(0, REQUEST, encode_request(self._codec, request)[0])

    # --- receiving ----------------------------------------------------------------------------

    def _dispatch(self, message: Message) -> None:
        """Completes the future of the call that a message replies to."""
        call = message.call
        future = self._pending.get(call, self)
        if future is None:
            self._replies[call] = message
        elif future is self:
            # A call that was cancelled or late: the reply is dropped, but the references in it must be released.
            if message.kind != VALUE or message.object_id:
                decode_reply(self._codec, message, self._graph_ref)
            return
        else:
            assert isinstance(future, PendingCall)
            if (
                torch.is_inference_mode_enabled()
            ):  # this thread's mode, and maybe another one's call
                with torch.inference_mode(False):
                    self._complete(future, message)
            else:
                self._complete(future, message)
            self.reader_lock.notify()
        self._pending.pop(call, None)

    def _complete(self, future: PendingCall, message: Message) -> None:
        value, failure = decode_reply(self._codec, message, self._graph_ref)
        if failure is None:
            future.set_result(value)
        else:
            future.set_exception(failure)

    # The connection drives the futures of its calls: see remotemod.future.Driver.

    def drive(
        self,
        future: Future[Any],
        deadline: float | None,
        enough: Callable[[], object] | None = None,
    ) -> None:
        """Reads until the future is done, or it is enough, or the deadline passes."""
        self.read_until(enough or (lambda: future.settled), deadline)

    def attend(self, future: Future[Any]) -> None:
        """Has the background reader complete the future, because no thread waits for it."""
        self._background.attend(future.deadline)

    def forget(self, future: Future[Any]) -> None:
        """Drops a call: the worker need not begin it, and the threads that wait for it are woken."""
        if isinstance(future, PendingCall) and self._pending.pop(future.call, None) is not None:
            self._channel.post(future.call, CANCEL)
        self.wake()

    # --- the end ------------------------------------------------------------------------------

    def _lose(self, error: Exception) -> RemoteModError:
        """Fails every call in flight; returns what later ones fail with."""
        if self.lost is None:
            self.lost = self._lost_error(error)
            self.lost.__cause__ = error
        self._pending.fail(self.lost)
        self.reader_lock.notify()
        return self.lost

    def _late(self, timeout: float | None) -> DeadlineExceeded:
        return DeadlineExceeded(f"a call to '{self.worker}' did not finish in time ({timeout} s)")

    def disown(self, reason: RemoteModError) -> None:
        """In a forked process: leaves the connection to the parent; all calls fail with ``reason``."""
        self.reader_lock = InterruptSafeLock()  # the thread that holds the other one is not here
        self.lost = reason
        self._channel.disown()

    def close(self, reason: RemoteModError) -> None:
        """Ends the connection; calls in flight fail with ``reason``."""
        if self.lost is None:
            self.lost = reason
        self._channel.wake()
        self._lose(reason)
        self.reader_lock.wait_for_others(timeout=5)
        self._channel.close()
