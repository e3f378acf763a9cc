"""Finds the remote module behind the reference string that a scripted caller holds."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Protocol

from remotemod.errors import RemoteModError
from remotemod.runtime.future import Future

__all__ = ["ROUTER", "Route"]


class Route(Protocol):
    """One remote module, as a scripted caller reaches it."""

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a method and waits for it."""

    def submit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Starts a method."""


class _Router:
    """The table of this process's remote modules that scripts may call."""

    def __init__(self) -> None:
        # A scripted module holds the string alone, so the route must outlive the eager handle:
        # it stays for as long as its cluster does.
        self._routes: dict[str, Route] = {}
        self._calls: dict[int, Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, ref: str, route: Route) -> None:
        """Makes ``route`` reachable as ``ref``."""
        with self._lock:
            self._routes[ref] = route

    def remove(self, ref: str) -> None:
        """Forgets ``ref``."""
        with self._lock:
            self._routes.pop(ref, None)

    def find(self, ref: str) -> Route:
        """The route behind a reference.

        Raises:
            RemoteModError: this process has no such remote module.
        """
        route = self._routes.get(ref)
        if route is None:
            raise RemoteModError(
                f"no remote module '{ref}' is bound in this process: its cluster was closed, "
                "or the scripted module was loaded without one"
            )
        return route

    def call(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a method of the module behind ``ref``."""
        return self.find(ref).call(method, args, kwargs)

    def submit(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Starts a method of the module behind ``ref``; the number collects its result."""
        future = self.find(ref).submit(method, args, kwargs)
        number = next(self._numbers)
        self._calls[number] = future
        return number

    def collect(self, call: int) -> Any:
        """Waits for a started call."""
        future = self._calls.pop(call, None)
        if future is None:
            raise RemoteModError(f"call {call} was collected before, or never submitted")
        return future.wait()


ROUTER = _Router()
"""The process's only router: operators are process-wide, and so is what they reach."""
