"""What a worker does for one caller: the one place where a request is run."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

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


class Session:
    """One caller of an owner: runs its requests, and counts what it holds.

    Args:
        owner: keeps the modules and values.
        make_codec: makes the codec of the caller's messages; engines with a form of their own need none.
    """

    def __init__(self, owner: Owner, make_codec: Callable[[Session], Codec] | None = None) -> None:
        self.owner = owner
        self._codec = None if make_codec is None else make_codec(self)
        self._held: Counter[int] = Counter()
        self._ended = False
        self._verbs: dict[type, Callable[[Any], Run]] = {
            Call: self._begin_call,
            Invoke: lambda request: lambda: self._kept(invoke(request, owner.keep)),
            Build: lambda request: lambda: Reply(build(owner, request)),
            Differentiate: lambda request: functools.partial(self.differentiate, *request),
            # Later requests build upon these, so they are done before anything else begins.
            Load: lambda request: _at_once(owner.load, request),
            Release: lambda request: _at_once(self.release, *request),
            Retain: lambda request: _at_once(owner.retain_for_token, *request),
            Adopt: lambda request: _at_once(self.adopt, *request),
            ExtendPath: lambda request: _at_once(extend_path, *request),
        }

    # --- running ------------------------------------------------------------------------------

    def handle(self, message: Message) -> Message:
        """Runs the request in a message and returns the message of its reply; raises nothing.

        Messages of one caller are to be handled in their order. Where calls of one caller are to run at once,
        :meth:`begin` in that order, and what it returns in threads.
        """
        return self.begin(message)()

    def begin(self, message: Message) -> Callable[[], Message]:
        """Resolves what a message names; the function that is returned runs it and returns its reply."""
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
            reply = self.running(run)
            try:
                return encode_reply(codec, reply)
            except BaseException:
                if reply.graph:
                    self.release([reply.graph])
                raise
        except BaseException as error:  # SystemExit too: a module's exit is not the worker's
            return encode_failure(codec, error, self.owner.name)

    def run(self, request: Request) -> Reply:
        """Runs a request; what it raises comes out of here."""
        return self.running(self.begin_request(request))

    def begin_request(self, request: Request) -> Run:
        """Resolves what a request names, now; the function that is returned runs it."""
        return self._verbs[type(request)](request)

    def running(self, run: Run) -> Reply:
        """Runs what was begun, on the owner's behalf."""
        token = self.owner.enter()
        try:
            return run()
        finally:
            self.owner.leave(token)

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
        """Runs a method of a module.

        Args:
            endpoint: the method.
            module: what :meth:`Endpoint.module` returned when the call arrived.
            args: positional arguments.
            kwargs: keyword arguments.
            graph_mode: a :class:`remotemod.autograd.tensors.GraphMode`.
        """
        result = endpoint.run(module, args, kwargs, graph_mode)
        return Reply(result) if type(result) is not Recorded else self._kept(result)

    def differentiate(self, graph: int, grads: Sequence[Any], how: Sequence[bool]) -> Reply:
        """Runs a kept graph backwards, and lets it go if that is all; see :class:`Differentiate`."""
        kept: Graph = self.owner.value(graph)
        backward = Pass(*how)
        try:
            return self._kept(differentiate(kept, grads, backward))
        finally:
            if not backward.keep:
                self.release([graph])

    def _kept(self, result: Any) -> Reply:
        """The reply of a result; its graph stays, held by the caller."""
        if type(result) is not Recorded:
            return Reply(result)
        return Reply(result.value, self.hold_new(result.graph))

    # --- what the caller holds ----------------------------------------------------------------

    def hold_new(self, value: object) -> int:
        """Keeps a value, with the first handle on it at the caller, and returns its number."""
        number = self.owner.keep_number(value)
        self.hold(number)
        return number

    def hold(self, ref: int) -> None:
        """One handle more that the caller has; after its end it has none."""
        if self._ended:
            self.owner.release(ref)
        else:
            self._held[ref] += 1

    def adopt(self, ref: int, token: str) -> None:
        """The handle that was retained under a token is the caller's from now on."""
        if self.owner.take_token(ref, token):
            self.hold(ref)

    def release(self, refs: Sequence[int]) -> None:
        """One handle less on each of these."""
        for ref in refs:
            if self._held[ref] > 0:
                self._held[ref] -= 1
                if not self._held[ref]:
                    del self._held[ref]
                self.owner.release(ref)

    def end(self) -> None:
        """Lets go of everything that the caller held: it has gone."""
        self._ended = True
        held, self._held = self._held, Counter()
        for ref, count in held.items():
            for _ in range(count):
                self.owner.release(ref)


def _at_once(function: Callable[..., object], *args: Any) -> Run:
    function(*args)
    return functools.partial(Reply, None)
