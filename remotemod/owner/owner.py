"""The modules and values that a worker keeps, by number, and the stubs that are called on them."""

from __future__ import annotations

import contextvars
import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any

from torch import nn

from remotemod.errors import InterfaceMismatch, ProtocolError, RemoteModError
from remotemod.future import Future
from remotemod.owner.endpoint import Endpoint, LocalModule
from remotemod.owner.invoke import invoke
from remotemod.owner.overloads import callable_form
from remotemod.requests import Call, Invoke, Load
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.loader import LoadedStub, load_stub, text_digest

__all__ = ["Owner", "current_owner"]

_CURRENT: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


def current_owner() -> Owner | None:
    """The owner for which this thread runs; None outside of a worker."""
    return _CURRENT.get()


class _Kept:
    __slots__ = ("count", "local", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.count = 1
        self.local: LocalModule | None = None


class Owner:
    """A keeper of modules and values for callers.

    Args:
        name: the worker's name.
        reachable: whether other processes can connect to this owner.

    Attributes:
        names: the modules that have a name; see :mod:`remotemod.handles.directory`.
    """

    def __init__(self, name: str, *, reachable: bool = False) -> None:
        self.name = name
        self.reachable = reachable
        self.names: dict[str, Any] = {}
        self._kept: dict[int, _Kept] = {}
        self._numbers = itertools.count(1)
        # Handles that were sent to a third process and not adopted yet, by number and token.
        self._tokens: set[tuple[int, str]] = set()
        self._functions: dict[tuple[str, str], Callable[..., Any]] = {}
        self._lock = threading.RLock()

    def enter(self) -> contextvars.Token[Owner | None]:
        """Make this the owner for which this thread runs; see :meth:`leave`."""
        return _CURRENT.set(self)

    def leave(self, token: contextvars.Token[Owner | None]) -> None:
        """Restore the owner from before the :meth:`enter` that returned ``token``."""
        _CURRENT.reset(token)

    def submit_locally(self, request: Invoke) -> Future[Any]:
        """Run a function in this very thread and return its finished future: an owner never waits for itself."""
        future: Future[Any] = Future(f"a call on '{self.name}'")
        token = self.enter()
        try:
            future.set_result(invoke(request, self.keep))
        except Exception as error:
            future.set_exception(error)
        finally:
            self.leave(token)
        return future

    # --- kept values --------------------------------------------------------------------------

    def keep(self, value: object) -> Any:
        """Keep ``value`` and return the first handle on it."""
        return RemoteRef.on_owner(self, self.keep_number(value), value)

    def keep_number(self, value: object) -> int:
        """Keep ``value`` with one handle on it, and return its number."""
        with self._lock:
            number = next(self._numbers)
            self._kept[number] = _Kept(value)
        return number

    def keep_module(self, module: nn.Module, stub: str | None) -> tuple[Any, Any]:
        """Keep a module; return the reference, and the extension for the engine's callers.

        Args:
            module: the module.
            stub: the digest of the stub that will be called on it, if it is known.
        """
        return self.keep(module), None

    def handle_on(self, ref: int, token: str = "") -> RemoteRef[Any]:
        """A new handle on a kept value, in this process; it takes over the one that was retained under ``token``."""
        with self._lock:
            kept = self._find(ref)
            if not self.take_token(ref, token):
                kept.count += 1
        return RemoteRef.on_owner(self, ref, kept.value)

    def value(self, ref: Any) -> Any:
        """A kept value, by its reference's key."""
        return self._find(ref).value

    def local(self, ref: Any) -> Any:
        """A kept module as generated code takes it."""
        kept = self._kept.get(ref)
        if kept is None:  # a reference of the engine's own, or none
            return LocalModule(callable_form(self.value(ref)))
        if kept.local is None:
            kept.local = LocalModule(callable_form(kept.value))
        return kept.local

    def keeps(self, ref: Any) -> bool:
        """Whether a reference's value is still kept."""
        return ref in self._kept

    def retain(self, ref: int) -> None:
        """Add a handle."""
        with self._lock:
            self._find(ref).count += 1

    def retain_for_token(self, ref: int, token: str) -> None:
        """Add a handle, for the process that adopts it with the token."""
        with self._lock:
            self.retain(ref)
            self._tokens.add((ref, token))

    def take_token(self, ref: int, token: str) -> bool:
        """Whether a handle was retained under the token; it then belongs to the caller of this."""
        with self._lock:
            if (ref, token) not in self._tokens:
                return False
            self._tokens.discard((ref, token))
            return True

    def release(self, ref: int) -> None:
        """Remove a handle; the value goes with the last one."""
        with self._lock:
            kept = self._kept.get(ref)
            if kept is None:
                return
            kept.count -= 1
            if kept.count <= 0:
                del self._kept[ref]
        # ``kept`` is freed after the lock is released: a module's finalizers may do anything.

    def _find(self, ref: int) -> _Kept:
        kept = self._kept.get(ref)
        if kept is None:
            raise RemoteModError(
                f"worker '{self.name}' keeps no object {ref} (any more): every handle on it was dropped"
            )
        return kept

    # --- stubs --------------------------------------------------------------------------------

    def load(self, request: Load) -> LoadedStub:
        """Load a stub, so that calls can name it.

        Raises:
            ProtocolError: its text has another digest.
        """
        if text_digest(request.text) != request.digest:
            raise ProtocolError(f"the stub sent as {request.digest} has another text")
        stub = load_stub(request.text, request.injected)
        for method, function in stub.remote_methods.items():
            self._functions[request.digest, method] = function
        return stub

    def endpoint(
        self, ref: Any, stub: str, method: str, device: str, is_device_map_set: bool
    ) -> Endpoint:
        """One method of a kept module; arguments as :class:`remotemod.requests.Call` has them."""
        function = self._functions.get((stub, method))
        if function is None:
            function = functools.partial(self._unknown, stub, method)
        return Endpoint(self, ref, function, device, is_device_map_set)

    def endpoint_of(self, call: Call) -> Endpoint:
        """The endpoint of a call."""
        return self.endpoint(call.ref, call.stub, call.method, call.device, call.is_device_map_set)

    def _unknown(self, stub: str, method: str, *args: Any, **kwargs: Any) -> Any:
        raise InterfaceMismatch(
            f"worker '{self.name}' does not have the stub {stub}, or it has no method "
            f"'{method}': the caller's stub is out of date; regenerate it"
        )
