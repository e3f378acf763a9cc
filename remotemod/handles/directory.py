"""The directory: the client of each reference string that a scripted or traced caller holds."""

from __future__ import annotations

import itertools
import threading
import weakref
from typing import Any

from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.handles.client import Client
from remotemod.handles.named import client_named, publish

__all__ = ["DIRECTORY", "Directory"]


class Directory:
    """The remote modules of this process by their reference strings.

    A process has one: operators are process-wide, and so are the modules that they reach.
    """

    def __init__(self) -> None:
        # A scripted module holds the string alone, so the client must outlive the eager handle: it stays for as long
        # as its cluster does.
        self._kept: dict[str, Client] = {}
        self._handles: weakref.WeakValueDictionary[str, Client] = weakref.WeakValueDictionary()
        self._looked_up: set[str] = set()
        self._calls: dict[int, Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    # --- entries ------------------------------------------------------------------------------

    def enter(self, ref: str, client: Client) -> None:
        """Make a module reachable as ``ref`` for as long as its client lives."""
        self._handles[ref] = client

    def announce(self, ref: str, client: Client) -> None:
        """Make a module reachable by its reference string, in this process and in others."""
        if self.keep(ref, client):
            publish(client, ref)

    def keep(self, ref: str, client: Client, *, looked_up: bool = False) -> bool:
        """Make a module reachable as ``ref`` until its cluster closes; return whether it was not yet.

        Args:
            ref: the string that scripted callers hold.
            client: the module.
            looked_up: whether it was looked up by its name.
        """
        with self._lock:
            if self._kept.get(ref) is client:
                return False
            self._kept[ref] = client
            (self._looked_up.add if looked_up else self._looked_up.discard)(ref)
        client_ref = weakref.ref(client)
        client.cluster.on_close(lambda: self._drop(ref, client_ref))
        return True

    def forget(self, ref: str) -> None:
        """Remove the entry of ``ref``: there is a new module of that name."""
        with self._lock:
            self._kept.pop(ref, None)

    def look_up_anew(self, ref: str) -> None:
        """Remove the entry of ``ref`` if it was looked up: there may be a newer module of that name."""
        with self._lock:
            if ref in self._looked_up:
                self._kept.pop(ref, None)

    def _drop(self, ref: str, client: weakref.ref[Client]) -> None:
        with self._lock:
            if self._kept.get(ref) is client():
                self._kept.pop(ref, None)

    # --- finding ------------------------------------------------------------------------------

    def known(self, ref: str) -> Client | None:
        """The client that is entered for ``ref``; None without one."""
        return self._kept.get(ref)

    def find(self, ref: str) -> Client:
        """The client of a reference string: an entry, or a module of that name on the current cluster.

        Raises:
            PlacementError: no worker has a remote module of that name, or several have.
        """
        client = self._kept.get(ref) or self._handles.get(ref)
        if client is None:
            client = client_named(ref)
            self.keep(ref, client, looked_up=True)
        return client

    # --- for operators ------------------------------------------------------------------------

    def call(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a method of the module behind ``ref``."""
        return self.find(ref).call(method, args, kwargs)

    def submit(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Start a method of the module behind ``ref``; the number collects its result."""
        future = self.find(ref).submit(method, args, kwargs)
        number = next(self._numbers)
        self._calls[number] = future
        return number

    def collect(self, call: int) -> Any:
        """Wait for a started call.

        Raises:
            RemoteModError: it was collected before, or never submitted.
        """
        future = self._calls.pop(call, None)
        if future is None:
            raise RemoteModError(f"call {call} was collected before, or never submitted")
        return future.wait()


DIRECTORY = Directory()
"""The directory of TorchScript's operators, which last as long as the process."""
