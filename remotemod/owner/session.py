"""The session of one caller on an owner: the one place where a request is run."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from remotemod.autograd.owner import Graph, Pass, Recorded, differentiate
from remotemod.errors import RemoteModError
from remotemod.owner.build import build
from remotemod.owner.endpoint import Endpoint
from remotemod.owner.invoke import invoke
from remotemod.owner.owner import Owner
from remotemod.owner.paths import extend_path
from remotemod.requests import (
    Adopt,
    Build,
    Call,
    Differentiate,
    ExtendPath,
    Invoke,
    Load,
    Release,
    Reply,
    Request,
    Retain,
)
from remotemod.rpc.messages import (
    Message,
    decode_request,
    encode_failure,
    encode_reply,
)
from remotemod.wire.codec import Codec

__all__ = ["Session"]

Run = Callable[[], Reply]
T = TypeVar("T")


class Session:
    """One caller of an owner: its requests are run here, and its handles counted.

    Args:
        owner: keeps the modules and values.
        make_codec: makes the codec of the caller's messages; engines that carry no messages need none.
    """

    def __init__(self, owner: Owner, make_codec: Callable[[Session], Codec] | None = None) -> None:
        self.owner = owner
        self._codec = None if make_codec is None else make_codec(self)
        self._held: Counter[int] = Counter()
        self._ended = False
        self._handlers: dict[type, Callable[[Any], Run]] = {
            Call: self._begin_call,
            Invoke: lambda request: lambda: self._reply_of(invoke(request, owner.keep)),
            Build: lambda request: lambda: Reply(build(owner, request)),
            Differentiate: lambda request: functools.partial(self.differentiate, *request),
            # Later requests depend on these, so they are done before anything else begins.
            Load: lambda request: _at_once(owner.load, request),
            Release: lambda request: _at_once(self.release, *request),
            Retain: lambda request: _at_once(owner.retain_for_token, *request),
            Adopt: lambda request: _at_once(self.adopt, *request),
            ExtendPath: lambda request: _at_once(extend_path, *request),
        }

    # --- requests -----------------------------------------------------------------------------

    def handle(self, message: Message) -> Message:
        """Run the request in a message and return the message of its reply; raise nothing.

        Messages of one caller are to be handled in their order. Where calls of one caller are to run at once,
        :meth:`begin` in that order, and what it returns in threads.
        """
        return self.begin(message)()

    def begin(self, message: Message) -> Callable[[], Message]:
        """Resolve the names in a message; the returned function runs the request and returns the message of its reply."""
        codec = self._codec
        if codec is None:
            raise RemoteModError("this session was made without a codec and takes no messages")
        try:
            run = self.begin_request(decode_request(codec, *message))
        except BaseException as error:
            return functools.partial(encode_failure, codec, error, self.owner.name)
        return functools.partial(self._reply, codec, run)

    def _reply(self, codec: Codec, run: Run) -> Message:
        try:
            return self.encoded(self.running(run), functools.partial(encode_reply, codec))
        except BaseException as error:  # SystemExit too: a module's exit is not the worker's
            return encode_failure(codec, error, self.owner.name)

    def run(self, request: Request) -> Reply:
        """Run a request; may raise what the request raises."""
        return self.running(self.begin_request(request))

    def begin_request(self, request: Request) -> Run:
        """Resolve the names in a request, now; the returned function runs it."""
        return self._handlers[type(request)](request)

    def running(self, run: Run) -> Reply:
        """Run a request that has begun, for the owner."""
        token = self.owner.enter()
        try:
            return run()
        finally:
            self.owner.leave(token)

    def encoded(self, reply: Reply, encode: Callable[[Reply], T]) -> T:
        """Encode a reply for the caller; if it cannot travel, its graph is released, because nobody will know of it.

        Args:
            reply: what a request gave.
            encode: turns it into what the engine sends.
        """
        try:
            return encode(reply)
        except BaseException:
            if reply.graph:
                self.release([reply.graph])
            raise

    def _begin_call(self, request: Call) -> Run:
        endpoint = self.owner.endpoint_of(request)
        return functools.partial(
            self.call,
            endpoint,
            endpoint.module(),
            request.args,
            request.kwargs,
            request.graph_mode,
        )

    def call(
        self,
        endpoint: Endpoint,
        module: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        graph_mode: int,
    ) -> Reply:
        """Run a method of a module.

        Args:
            endpoint: the method.
            module: the result of :meth:`Endpoint.module` when the call arrived.
            args: positional arguments.
            kwargs: keyword arguments.
            graph_mode: a :class:`remotemod.autograd.tensors.GraphMode`.
        """
        result = endpoint.run(module, args, kwargs, graph_mode)
        return Reply(result) if type(result) is not Recorded else self._reply_of(result)

    def differentiate(self, graph: int, grads: Sequence[Any], how: Sequence[bool]) -> Reply:
        """Run a kept graph backwards, and release it if this is the last pass; see :class:`Differentiate`."""
        kept_graph: Graph = self.owner.value(graph)
        backward = Pass(*how)
        try:
            return self._reply_of(differentiate(kept_graph, grads, backward))
        finally:
            if not backward.keep:
                self.release([graph])

    def _reply_of(self, result: Any) -> Reply:
        """The reply of a result; its graph is kept, held by the caller."""
        if type(result) is not Recorded:
            return Reply(result)
        return Reply(result.value, self.hold_new(result.graph))

    # --- the caller's handles -----------------------------------------------------------------

    def hold_new(self, value: object) -> int:
        """Keep a value, give the caller the first handle on it, and return its number."""
        number = self.owner.keep_number(value)
        self.hold(number)
        return number

    def hold(self, ref: int) -> None:
        """Count a handle of the caller's; after the session's end, release it."""
        if self._ended:
            self.owner.release(ref)
        else:
            self._held[ref] += 1

    def adopt(self, ref: int, token: str) -> None:
        """Give the caller the handle that was retained under a token."""
        if self.owner.take_token(ref, token):
            self.hold(ref)

    def release(self, refs: Sequence[int]) -> None:
        """Release one handle on each of these."""
        for ref in refs:
            if self._held[ref] > 0:
                self._held[ref] -= 1
                if not self._held[ref]:
                    del self._held[ref]
                self.owner.release(ref)

    def end(self) -> None:
        """End the session: release everything that the caller held."""
        self._ended = True
        held, self._held = self._held, Counter()
        for ref, count in held.items():
            for _ in range(count):
                self.owner.release(ref)


def _at_once(function: Callable[..., object], *args: Any) -> Run:
    function(*args)
    return functools.partial(Reply, None)
