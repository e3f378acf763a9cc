"""Finds the remote module behind the reference string that a scripted caller holds."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from remotemod.errors import RemoteModError
from remotemod.future import Future

__all__ = ["ROUTER", "Route"]


class Closing(Protocol):
    """What a route needs of its cluster."""

    def on_close(self, closer: Callable[[], object]) -> None:
        """Calls ``closer`` when the cluster is closed."""


class Route(Protocol):
    """One remote module, as a scripted caller reaches it."""

    @property
    def cluster(self) -> Closing:
        """Where it is."""

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
        self._handles: weakref.WeakValueDictionary[str, Route] = weakref.WeakValueDictionary()
        self._found: set[str] = set()  # those that were looked up by name
        self._calls: dict[int, Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def keep(self, ref: str, route: Route, *, found: bool = False) -> bool:
        """Makes ``route`` reachable as ``ref`` until its cluster closes; says whether that is news.

        Args:
            ref: what scripted callers hold.
            route: where it leads.
            found: the route was looked up by name.
        """
        with self._lock:
            if self._routes.get(ref) is route:
                return False
            self._routes[ref] = route
            (self._found.add if found else self._found.discard)(ref)
        known = weakref.ref(route)
        route.cluster.on_close(lambda: self._close(ref, known))
        return True

    def know(self, ref: str, route: Route) -> None:
        """Makes ``route`` reachable as ``ref`` for as long as somebody else holds it."""
        self._handles[ref] = route

    def known(self, ref: str) -> Route | None:
        """Where ``ref`` leads in this process already."""
        return self._routes.get(ref)

    def find_anew(self, ref: str) -> None:
        """Forgets where ``ref`` leads if that was looked up: there may be a newer part of that name."""
        with self._lock:
            if ref in self._found:
                self._routes.pop(ref, None)

    def forget(self, ref: str) -> None:
        """Forgets where ``ref`` leads: there is a new module of that name."""
        with self._lock:
            self._routes.pop(ref, None)

    def _close(self, ref: str, route: weakref.ref[Route]) -> None:
        with self._lock:
            if self._routes.get(ref) is route():
                self._routes.pop(ref, None)

    def find(self, ref: str) -> Route:
        """The route behind a reference: this process's own, or one to a part of that name on the current cluster.

        Raises:
            PlacementError: nobody knows the name.
        """
        return self._routes.get(ref) or self._handles.get(ref) or self.look_up(ref)

    def look_up(self, ref: str) -> Route:
        """Finds a named part on the current cluster, and keeps the route to it.

        Raises:
            PlacementError: no worker has a remote module of that name, or several have.
        """
        from remotemod.handles.directory import (
            client_named,  # it is built on what operators are built on
        )

        route = client_named(ref)
        self.keep(ref, route, found=True)
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
