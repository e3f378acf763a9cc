"""A worker's end of a connection: runs the requests of one caller, which begin in their order."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from remotemod.autograd.tensors import GraphMode
from remotemod.backends.serialization import make_codec
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.protocol import CALL, CANCEL, ENDPOINT, Message
from remotemod.backends.shm.replies import encode_failure, encode_reply, tensors_over
from remotemod.errors import ProtocolError
from remotemod.owner.endpoint import GRAPHS, Endpoint, GraphEndpoint
from remotemod.owner.owner import Owner
from remotemod.owner.session import Session
from remotemod.requests import Call, Release, Reply
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.messages import decode_request
from remotemod.wire.fast_path import unpack_row

__all__ = ["Server"]

_LONG_CALL = 500e-6
"""Seconds of a call after which a worker reads all that has arrived, because the next calls may have been cancelled."""


class _Task(NamedTuple):
    """A request that is ready to run.

    Attributes:
        call: the number under which the reply is sent; 0 for none.
        run: runs it.
        args: the arguments of that.
        graph_mode: what becomes of the graph; gradients are recorded unless there is none.
    """

    call: int
    run: Callable[..., Reply]
    args: tuple[Any, ...] = ()
    graph_mode: int = GraphMode.SHARE


class Server:
    """Serves one caller until it is gone.

    The thread that has read a request runs it, while the next thread reads on. So requests begin in their order, and
    as many run at once as there are threads.

    Args:
        sock: the connection.
        owner: keeps the modules.
        cluster: how this worker reaches others.
        arena: bytes of shared memory that results may take up at once.
        threads: requests of this caller that run at once.
    """

    def __init__(
        self, sock: socket.socket, owner: Owner, cluster: Cluster, arena: int, threads: int
    ) -> None:
        self._owner = owner
        self._channel = Channel(sock, arena)
        self._session = Session(owner)
        self._codec = make_codec(
            receiver="", cluster=lambda: cluster, owner=owner, session=self._session
        )
        self._encode_reply = functools.partial(encode_reply, self._codec)
        self._endpoints: dict[int, Endpoint] = {}
        self._endpoint_ids: dict[int, list[int]] = {}  # by the reference of their module
        # Messages that were read ahead, by the numbers of their calls; without one, by numbers below 0.
        self._inbox: OrderedDict[int, Message] = OrderedDict()
        self._last_unnumbered = 0
        self._last_started = 0.0
        self._reader_lock = threading.Lock()
        self._threads = threads

    def run(self) -> None:
        """Serves in this thread, and in as many more as were asked for."""
        helpers = [
            threading.Thread(target=self._work, daemon=True) for _ in range(self._threads - 1)
        ]
        for helper in helpers:
            helper.start()
        try:
            self._work()
            for helper in helpers:
                helper.join()
        finally:
            self._session.end()
            self._channel.close()

    def _work(self) -> None:
        self._owner.enter()
        task: _Task | None
        try:
            while True:
                with self._reader_lock:
                    task = self._next_task()
                call = task.call
                try:
                    # For the thread, not for a block: the next call mostly wants the same.
                    torch.set_grad_enabled(bool(task.graph_mode))
                    reply = self._session.encoded(task.run(*task.args), self._encode_reply)
                except (
                    BaseException
                ) as error:  # SystemExit too: a module's exit is not the worker's
                    reply = encode_failure(self._codec, error, self._owner.name)
                # The arguments go before the reply is sent, so that their memory is reclaimed along with it.
                task = None
                if call:
                    self._channel.send(call, *reply)
                del reply
        except (EOFError, OSError, ProtocolError):
            pass  # the caller is gone, or does not speak this protocol: either way there is nobody to tell

    # --- with the reader lock -----------------------------------------------------------------

    def _next_task(self) -> _Task:
        while True:
            message = self._next_message()
            task = self._plain_call(message) if message.kind == CALL else self._task(message)
            if task is not None:
                self._last_started = time.perf_counter()
                return task

    def _next_message(self) -> Message:
        """The next message that was not cancelled; cancellations that came during a long call are read first."""
        if time.perf_counter() - self._last_started > _LONG_CALL:
            while self._read_ahead(self._channel.receive(0.0)):
                pass
        while not self._inbox:
            message = self._channel.receive(None)
            if message is not None and message.kind != CANCEL:
                return message
        return self._inbox.popitem(last=False)[1]

    def _read_ahead(self, message: Message | None) -> bool:
        """Puts a message into the inbox, or takes out of it the call that it cancels; False if there was none."""
        if message is None:
            return False
        if message.kind == CANCEL:
            self._inbox.pop(message.call, None)
        elif message.call:
            self._inbox[message.call] = message
        else:
            self._last_unnumbered -= 1
            self._inbox[self._last_unnumbered] = message
        return True

    def _plain_call(self, message: Message) -> _Task:
        try:
            endpoint = self._endpoints[message.object_id]
            args, kwargs = unpack_row(message.header, message.frames)
            graph_mode = message.graph_mode
            call = endpoint, endpoint.module(), args, kwargs, graph_mode
            return _Task(message.call, self._session.call, call, graph_mode)
        except Exception as error:
            return _Task(message.call, _raise, (error,))

    def _task(self, message: Message) -> _Task | None:
        """The request in a message; None for what is done at once and never answered."""
        call = message.call
        try:
            if message.kind == ENDPOINT:
                self._add_endpoint(call, self._codec.decode(message.header, []))
                return None
            frames = tensors_over(message.frames)
            request = decode_request(self._codec, message.header, frames)
            run = self._session.begin_request(request)
            if isinstance(request, Release):
                self._drop_endpoints(request.refs)
            if isinstance(request, Call):
                return _Task(call, run, (), request.graph_mode)
            return _Task(call, run) if call else None
        except Exception as error:
            return _Task(call, _raise, (error,)) if call else None

    def _add_endpoint(self, number: int, common: tuple[Any, ...]) -> None:
        """Later calls name a method, or all graphs, by this number."""
        if common[0] == GRAPHS:
            self._endpoints[number] = GraphEndpoint(self._owner, self._session.release)
            return
        endpoint = self._owner.endpoint(*common)
        self._endpoints[number] = endpoint
        self._endpoint_ids.setdefault(endpoint.ref, []).append(number)

    def _drop_endpoints(self, refs: list[int]) -> None:
        """Drops the endpoints of modules that were released and are kept no longer: no caller can name them any more."""
        for ref in refs:
            if not self._owner.keeps(ref):
                for number in self._endpoint_ids.pop(ref, ()):
                    del self._endpoints[number]


def _raise(error: BaseException) -> Reply:
    raise error
