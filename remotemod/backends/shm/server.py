"""A worker's end of a connection: one peer's calls, begun in their order."""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from remotemod.autograd.owner import Recorded
from remotemod.autograd.tensors import GraphMode
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.frames import CALL, CANCEL, ENDPOINT, FAILURE, RESULT, VALUE, Message
from remotemod.backends.shm.introduction import is_about_imports
from remotemod.backends.shm.serialization import decode_request, encode_failure, make_codec
from remotemod.errors import ProtocolError
from remotemod.owner.endpoint import GRAPHS, Endpoint, GraphEndpoint
from remotemod.owner.owner import Owner, Peer
from remotemod.requests import Adopt, Call, Load, Release, Request, Retain
from remotemod.rpc.cluster import Cluster
from remotemod.wire.fast_path import pack_value, unpack_row

__all__ = ["Server"]

_PATIENCE = 500e-6
"""Seconds after which a worker looks for calls that were given up before it begins the next."""

_IN_ORDER = (Load, Release, Retain, Adopt)


class _Task(NamedTuple):
    """What was asked, ready to run: a call on a module, another request, or what is wrong with it."""

    call: int
    endpoint: Endpoint | None = None
    module: Any = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never written to
    graph_mode: int = GraphMode.SHARE
    request: Request | None = None
    error: BaseException | None = None


class Server:
    """Answers one peer until it is gone.

    Its threads take turns at reading: who has read a call runs it, while the next thread reads on. So calls
    begin in their order, and as many run at once as there are threads.

    Args:
        sock: the connection.
        owner: runs the calls.
        cluster: how this worker reaches others.
        arena: bytes of shared memory that results may take up at once.
        threads: calls of this peer that run at once.
    """

    def __init__(
        self, sock: socket.socket, owner: Owner, cluster: Cluster, arena: int, threads: int
    ) -> None:
        self._owner = owner
        self._channel = Channel(sock, arena)
        self._peer = Peer(owner)
        self._codec = make_codec(receiver="", cluster=lambda: cluster, owner=owner, peer=self._peer)
        self._endpoints: dict[int, Endpoint] = {}
        self._numbers: dict[int, list[int]] = {}
        self._inbox: OrderedDict[int, Message] = OrderedDict()
        self._unnumbered = 0
        self._began = 0.0
        self._turn = threading.Lock()
        self._threads = threads

    def run(self) -> None:
        """Serves in this thread, and in as many more as were asked for."""
        more = [threading.Thread(target=self._work, daemon=True) for _ in range(self._threads - 1)]
        for thread in more:
            thread.start()
        try:
            self._work()
            for thread in more:
                thread.join()
        finally:
            self._peer.gone()
            self._channel.close()

    def _work(self) -> None:
        self._owner.enter()
        task: _Task | None
        try:
            while True:
                with self._turn:
                    task = self._next()
                call = task.call
                try:
                    answer = self._outcome(task)
                except (
                    BaseException
                ) as error:  # SystemExit too: a module's exit is not the worker's
                    answer = FAILURE, *encode_failure(self._codec, error, self._owner.name), 0
                # What was given goes before the answer, so that word of its memory goes along.
                task = None
                if call:
                    self._channel.send(call, *answer)
                del answer
        except (EOFError, OSError, ProtocolError):
            pass  # the peer is gone, or speaks something else: either way there is nobody to tell

    def _outcome(self, task: _Task) -> tuple[int, bytes, list[Tensor], int]:
        """Runs a task; returns its answer's kind, header, frames and graph."""
        if task.error is not None:
            raise task.error
        # For the thread, not for a block: the next call mostly wants the same.
        torch.set_grad_enabled(bool(task.graph_mode))
        if task.endpoint is None:
            assert task.request is not None
            value = self._owner.handle(task.request, self._peer)
            return RESULT, *self._codec.encode(value), 0
        value = task.endpoint.run(task.module, task.args, task.kwargs, task.graph_mode)
        graph = None
        if type(value) is Recorded:
            value, graph = value
        packed = pack_value(value)
        kind, packed = (RESULT, self._codec.encode(value)) if packed is None else (VALUE, packed)
        return kind, *packed, 0 if graph is None else self._owner.keep_for(self._peer, graph)

    # --- with the turn ------------------------------------------------------------------------

    def _next(self) -> _Task:
        while True:
            message = self._message()
            task = self._endpoint_task(message) if message.kind == CALL else self._task(message)
            if task is not None:
                self._began = time.perf_counter()
                return task

    def _message(self) -> Message:
        """The next message. Who gave a call up while another one ran has said so by now."""
        if time.perf_counter() - self._began > _PATIENCE:
            while self._file(self._channel.receive(0.0)):
                pass
        while not self._inbox:
            message = self._channel.receive(None)
            if message is not None and message.kind != CANCEL:
                return message
        return self._inbox.popitem(last=False)[1]

    def _file(self, message: Message | None) -> bool:
        if message is None:
            return False
        if message.kind == CANCEL:
            self._inbox.pop(message.call, None)
        elif message.call:
            self._inbox[message.call] = message
        else:
            self._unnumbered -= 1
            self._inbox[self._unnumbered] = message
        return True

    def _endpoint_task(self, message: Message) -> _Task:
        try:
            endpoint = self._endpoints[message.endpoint]
            args, kwargs = unpack_row(message.header, message.frames)
            return _Task(
                message.call, endpoint, endpoint.module(), args, kwargs, message.graph_mode
            )
        except Exception as error:
            return _Task(message.call, error=error)

    def _task(self, message: Message) -> _Task | None:
        """What a message asks for; None for what is done at once, because later calls build upon it."""
        call = message.call
        if message.kind == ENDPOINT:
            common = self._codec.decode(message.header, [])
            if common[0] == GRAPHS:
                self._endpoints[call] = GraphEndpoint(self._owner, self._peer.release)
                return None
            endpoint = self._owner.endpoint(*common)
            self._endpoints[call] = endpoint
            self._numbers.setdefault(endpoint.ref, []).append(call)
            return None
        try:
            request = decode_request(self._codec, message)
            if isinstance(request, Call):
                endpoint = self._owner.endpoint_of(request)
                return _Task(
                    call,
                    endpoint,
                    endpoint.module(),
                    request.args,
                    request.kwargs,
                    request.graph_mode,
                )
            if not isinstance(request, _IN_ORDER) and not is_about_imports(request):
                return _Task(call, request=request)
            self._owner.handle(request, self._peer)
        except Exception as error:
            return _Task(call, error=error)
        if isinstance(request, Release):
            self._forget(request.refs)
        if call:
            self._channel.send(call, RESULT, *self._codec.encode(None))
        return None

    def _forget(self, refs: list[int]) -> None:
        """Drops the routes to what was released and is no longer kept: nobody can call it any more."""
        for ref in refs:
            if not self._owner.keeps(ref):
                for number in self._numbers.pop(ref, ()):
                    del self._endpoints[number]
