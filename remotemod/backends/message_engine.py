"""An engine over anything that carries messages: requests and replies become bytes and tensors."""

from __future__ import annotations

import contextlib
import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from remotemod.backends.completions import Completions
from remotemod.backends.outbox import Outbox
from remotemod.backends.serialization import make_codec
from remotemod.future import Future
from remotemod.owner.owner import Owner
from remotemod.requests import Release, Request
from remotemod.rpc.engine import Capabilities, Engine
from remotemod.rpc.messages import Message, decode_reply, encode_request
from remotemod.rpc.ref import RemoteRef
from remotemod.timeouts import deadline_after
from remotemod.wire.codec import Codec

__all__ = ["MessageEngine", "Transport"]

CAPABILITIES = Capabilities(processes=True, code=True)
"""The capabilities of most transports."""


class Transport(ABC):
    """A carrier of messages to workers, where :meth:`remotemod.owner.session.Session.handle` answers them."""

    workers: Sequence[str]
    """The names of the workers, by rank."""

    @abstractmethod
    def request(self, worker: str, message: Message, timeout: float | None) -> Future[Message]:
        """Send a message and return the future of its reply; in order for one thread and worker.

        Args:
            worker: the worker that answers it.
            message: bytes and tensors; the tensors may change after this returns.
            timeout: seconds after which the reply is no longer needed; None for never.

        Returns:
            The future of the reply; any ``concurrent.futures.Future`` will do.

        Raises:
            WorkerLost: the worker is gone (may also come through the future).
        """

    @abstractmethod
    def notify(self, worker: str, message: Message) -> None:
        """Send a message that has no reply. Called from a thread of its own: may block, and may raise."""

    @abstractmethod
    def close(self) -> None:
        """End the workers that were started; leave no process, socket or file. Idempotent."""


class MessageEngine(Engine):
    """An engine that sends requests and replies as messages.

    Args:
        transport: carries the messages.
        name: the name under which ``rm.launch`` knows the backend.
        capabilities: what the backend can do.
        caller: the name of this process, as profiles show it.
        address: what ``rm.connect`` takes in other processes, if these can reach the workers.
        owner: on a worker its owner, which references to its own objects lead to.
        heartbeat: seconds after which each worker gets a sign that this process lives, for a
            :class:`remotemod.backends.worker_server.WorkerServer` with a ``silence``; None never.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str = "messages",
        capabilities: Capabilities = CAPABILITIES,
        caller: str = "caller",
        address: str | None = None,
        owner: Owner | None = None,
        heartbeat: float | None = None,
    ) -> None:
        self._transport = transport
        self.name = name
        self.capabilities = capabilities
        self.caller = caller
        self._address = address
        self._owner = owner
        self._heartbeat = heartbeat
        self._codecs: dict[str, Codec] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._completions = Completions()
        self._lock = threading.RLock()  # finalizers may come in the middle
        self._closed = False

    @property
    def workers(self) -> Sequence[str]:  # type: ignore[override]  # they may come and go
        """The names of the workers, by rank."""
        return self._transport.workers

    @property
    def address(self) -> str | None:
        """What ``rm.connect`` takes in other processes."""
        return self._address

    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Send a request and return the future of its result."""
        codec, outbox = self._codec(worker), self._outbox(worker)
        message = encode_request(codec, request)
        number = outbox.begin()
        try:
            reply = self._transport.request(worker, message, timeout)
        except BaseException:
            outbox.end(number)
            raise
        reply.add_done_callback(lambda _: outbox.end(number))
        decode = functools.partial(
            decode_reply, codec, graph_ref=functools.partial(self._graph_ref, worker)
        )
        return self._completions.result_of(
            reply, decode, f"a call to '{worker}'", deadline_after(timeout)
        )

    def post(self, worker: str, request: Request) -> None:
        """Send a request that has no reply, once all earlier requests have their replies."""
        if not self._closed:
            with contextlib.suppress(RuntimeError):  # the interpreter ends, and so do its threads
                self._outbox(worker).put(request)

    def close(self) -> None:
        """End the transport and the threads that post."""
        with self._lock:
            self._closed = True
            outboxes, self._outboxes = self._outboxes, {}
        for outbox in outboxes.values():
            outbox.close()
        self._transport.close()
        self._completions.close()

    def _codec(self, worker: str) -> Codec:
        codec = self._codecs.get(worker)
        if codec is None:
            codec = make_codec(
                receiver=worker, cluster=lambda: self.cluster, owner=self._owner, session=None
            )
            codec = self._codecs.setdefault(worker, codec)
        return codec

    def _graph_ref(self, worker: str, number: int) -> RemoteRef[Any]:
        return RemoteRef(worker, number, "graph", self.cluster)

    def _outbox(self, worker: str) -> Outbox:
        outbox = self._outboxes.get(worker)
        if outbox is None:
            with self._lock:
                outbox = self._outboxes.get(worker)
                if outbox is None:
                    send = functools.partial(self._notify, worker)
                    outbox = self._outboxes[worker] = Outbox(worker, send, self._heartbeat)
        return outbox

    def _notify(self, worker: str, request: Request | None) -> None:
        message = encode_request(self._codec(worker), request or Release([]))
        self._transport.notify(worker, message)
