"""The far side: builds modules, runs calls on them, and keeps what others hold references to."""

from __future__ import annotations

import contextvars
import functools
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import nn

from remotemod.autograd.owner import Graph, Recorded, record
from remotemod.autograd.tensors import GraphMode
from remotemod.errors import InterfaceMismatch, ProtocolError, RemoteModError
from remotemod.future import Future
from remotemod.owner.endpoint import Endpoint, LocalModule
from remotemod.owner.overloads import callable_form
from remotemod.requests import (
    Adopt,
    Build,
    Built,
    Call,
    Invoke,
    Load,
    Release,
    Request,
    Retain,
)
from remotemod.rpc.ref import RemoteRef, type_name
from remotemod.stub.loader import LoadedStub, load_stub, text_digest

__all__ = ["Owner", "Peer", "current_owner"]

_CURRENT: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


def current_owner() -> Owner | None:
    """The owner on whose behalf this thread runs; None outside of a worker."""
    return _CURRENT.get()


class Peer:
    """Whoever sends requests over one connection, and what the owner keeps for it."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.held: Counter[int] = Counter()

    def hold(self, ref: int) -> None:
        """One handle more that this peer has."""
        self.held[ref] += 1

    def release(self, refs: list[int]) -> None:
        """One handle less on each of ``refs``."""
        for ref in refs:
            if self.held[ref] > 0:
                self.held[ref] -= 1
                if not self.held[ref]:
                    del self.held[ref]
                self.owner.release(ref)

    def gone(self) -> None:
        """Lets go of everything that the peer held: it has disconnected."""
        held, self.held = self.held, Counter()
        for ref, count in held.items():
            for _ in range(count):
                self.owner.release(ref)


class _Kept:
    __slots__ = ("count", "local", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.count = 0
        self.local: LocalModule | None = None


class Owner:
    """Holds modules and values for others and runs what they ask for.

    Args:
        name: the worker's name.
        reachable: whether other processes can connect to this owner.
    """

    def __init__(self, name: str, *, reachable: bool = False) -> None:
        self.name = name
        self.reachable = reachable
        self.names: dict[str, Any] = {}  # see remotemod.handles.directory
        self._kept: dict[int, _Kept] = {}
        self._ids = itertools.count(1)
        # Handles on their way to a third party, by reference and token.
        self.tokens: set[tuple[int, str]] = set()
        self._functions: dict[tuple[str, str], Callable[..., Any]] = {}
        self._lock = threading.RLock()
        self._verbs: dict[type, Callable[[Any, Peer], Any]] = {
            Call: self._call,
            Invoke: self._invoke,
            Build: self._build,
            Load: self._load,
            Release: lambda request, peer: peer.release(request.refs),
            Retain: self._retain,
            Adopt: self._adopt,
        }

    def enter(self) -> None:
        """From now on this thread runs on behalf of this owner."""
        _CURRENT.set(self)

    def handle(self, request: Request, peer: Peer) -> Any:
        """Runs one request and returns its answer; what the request raises comes out of here."""
        token = _CURRENT.set(self)
        try:
            return self._verbs[type(request)](request, peer)
        finally:
            _CURRENT.reset(token)

    # --- what is kept -------------------------------------------------------------------------

    def keep(self, value: object) -> RemoteRef[Any]:
        """Keeps ``value`` and returns the first handle on it."""
        return RemoteRef.on_owner(self, self._keep(value), value)

    def keep_for(self, peer: Peer, value: object) -> int:
        """Keeps ``value``, with the first handle on it at a peer, and returns its number."""
        ref = self._keep(value)
        peer.hold(ref)
        return ref

    def _keep(self, value: object) -> int:
        with self._lock:
            ref = next(self._ids)
            kept = self._kept[ref] = _Kept(value)
            kept.count = 1
        return ref

    def handle_on(self, ref: int, token: str = "") -> RemoteRef[Any]:
        """One more handle on a kept value, in this process; it takes over what ``token`` stood for."""
        with self._lock:
            kept = self._find(ref)
            if (ref, token) in self.tokens:
                self.tokens.discard((ref, token))
            else:
                kept.count += 1
        return RemoteRef.on_owner(self, ref, kept.value)

    def value(self, ref: Any) -> Any:
        """A kept value, by its reference's key."""
        return self._find(ref).value

    def local(self, ref: Any) -> Any:
        """A kept module as generated code takes it."""
        kept = self._kept.get(ref)
        if kept is None:  # a reference of the engine's own, or nothing
            return LocalModule(callable_form(self.value(ref)))
        if kept.local is None:
            kept.local = LocalModule(callable_form(kept.value))
        return kept.local

    def retain(self, ref: int) -> None:
        """One handle more."""
        with self._lock:
            self._find(ref).count += 1

    def release(self, ref: int) -> None:
        """One handle less; the value goes with the last."""
        with self._lock:
            kept = self._kept.get(ref)
            if kept is None:
                return
            kept.count -= 1
            if kept.count <= 0:
                del self._kept[ref]
        # ``kept`` dies here, outside the lock: a module's finalizers may do anything.

    def _find(self, ref: int) -> _Kept:
        kept = self._kept.get(ref)
        if kept is None:
            raise RemoteModError(
                f"worker '{self.name}' keeps no object {ref} (any more): every handle on it was dropped"
            )
        return kept

    # --- requests -----------------------------------------------------------------------------

    def submit_locally(self, request: Invoke) -> Future[Any]:
        """Runs a request of this very process at once and returns its finished future."""
        future: Future[Any] = Future(f"a call on '{self.name}'")
        try:
            future.set_result(self.handle(request, Peer(self)))
        except Exception as error:
            future.set_exception(error)
        return future

    def endpoint(
        self, ref: Any, stub: str, method: str, device: str, is_device_map_set: bool
    ) -> Endpoint:
        """The way to one method of a kept module."""
        function = self._functions.get((stub, method))
        if function is None:
            function = functools.partial(self._unknown, stub, method)
        return Endpoint(self, ref, function, device, is_device_map_set)

    def endpoint_of(self, call: Call) -> Endpoint:
        """The way that a call takes."""
        return self.endpoint(call.ref, call.stub, call.method, call.device, call.is_device_map_set)

    def _unknown(self, stub: str, method: str, *args: Any, **kwargs: Any) -> Any:
        raise InterfaceMismatch(
            f"worker '{self.name}' has not been sent the stub {stub}, or it has no method "
            f"'{method}': the caller's stub is out of date; regenerate it"
        )

    def keeps(self, ref: Any) -> bool:
        """Whether a reference's value is still kept."""
        return ref in self._kept

    def _call(self, request: Call, peer: Peer) -> Any:
        endpoint = self.endpoint_of(request)
        value = endpoint.run(endpoint.module(), request.args, request.kwargs, request.graph_mode)
        return self._answer(value, peer)

    def _invoke(self, request: Invoke, peer: Peer) -> Any:
        function, args, kwargs, keep, graph_mode = request
        if keep:
            return self.keep(function(*args, **kwargs))
        if graph_mode < GraphMode.KEEP:
            return self._answer(function(*args, **kwargs), peer)
        found = record(function, args, kwargs, graph_mode)
        if type(found) is Recorded and found.graph.is_of_leaves:
            return found.value  # parameters that somebody asks for are copied
        return self._answer(found, peer)

    def _answer(self, value: Any, peer: Peer) -> Any:
        """A result as it goes back: its graph stays, and a reference to it goes along."""
        if type(value) is Recorded:
            return value._replace(graph=self.keep_graph(value.graph, peer))
        return value

    def keep_graph(self, graph: Graph, peer: Peer) -> Any:
        """Keeps a graph and returns what stands for it in the answer."""
        return self.keep(graph)

    def _load(self, request: Load, peer: Peer) -> None:
        self.load(request)

    def load(self, request: Load) -> LoadedStub:
        """Takes a stub, so that calls can name it."""
        if text_digest(request.text) != request.digest:
            raise ProtocolError(f"the stub sent as {request.digest} has another text")
        stub = load_stub(request.text, request.bound)
        for method, function in stub.remote_methods.items():
            self._functions[request.digest, method] = function
        return stub

    def _build(self, request: Build, peer: Peer) -> Built:
        if request.load is not None:
            self.load(request.load)
        module = request.target(*request.args, **request.kwargs)
        if not isinstance(module, nn.Module):
            raise ValueError(
                "Expect `module_cls(*args, **kwargs)` returns an instance of <class nn.Module>, "
                f"but {request.target!r} returned {type(module)!r}."
            )
        if request.device is not None:
            module = module.to(request.device)
        if request.expected is not None:
            _check_interface(type(module), *request.expected)
        interface = None
        if request.stub is None:
            from remotemod.owner.describe import describe

            interface, digest = describe(module)
            if digest == request.known:
                interface = None
        ref, extension = self.keep_module(module, request.stub)
        return Built(ref, type_name(module), _device_of(module), interface, extension)

    def keep_module(self, module: nn.Module, stub: str | None) -> tuple[Any, Any]:
        """Keeps a module, and returns the reference and what the engine's callers are told of it.

        Args:
            module: the module.
            stub: the digest of the stub that will be called on it, if that is known.
        """
        return self.keep(module), None

    def _retain(self, request: Retain, peer: Peer) -> None:
        self.retain(request.ref)
        self.tokens.add((request.ref, request.token))

    def _adopt(self, request: Adopt, peer: Peer) -> None:
        # The handle that was kept under the token now counts for this peer.
        if (request.ref, request.token) in self.tokens:
            self.tokens.discard((request.ref, request.token))
            peer.hold(request.ref)


def _device_of(module: nn.Module) -> str | None:
    held = itertools.chain(module.parameters(), module.buffers())
    first = next(held, None)
    return None if first is None else str(first.device)


def _check_interface(cls: type, module: str, qualname: str, digest: str) -> None:
    from remotemod.interface.read import read_interface

    for base in cls.__mro__:
        if (base.__module__, base.__qualname__) == (module, qualname):
            found = read_interface(base).digest
            if found != digest:
                raise InterfaceMismatch(
                    f"the stub was generated for interface {digest} of {module}:{qualname}, and the owner's "
                    f"class has {found}; regenerate the stub: remotemod gen {module}:{qualname} -o DIR"
                )
            return
