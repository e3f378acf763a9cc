"""The shm backend: which workers there are, how to reach them, and how they begin and end."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from remotemod.backends.processes import (
    DEFAULT_TIMEOUT,
    Processes,
    close_at_exit,
    import_path,
)
from remotemod.backends.shm.carriage import make_codec
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.connection import Connection
from remotemod.errors import RemoteModError, WorkerLost
from remotemod.runtime.backend import Backend, Capabilities
from remotemod.runtime.cluster import Cluster
from remotemod.runtime.future import Future
from remotemod.runtime.owner import Owner
from remotemod.runtime.requests import Invoke, Request

__all__ = ["ShmBackend", "address_of", "launch"]

_START_TIMEOUT = 120.0


def address_of(token: str, worker: str) -> str:
    """Where a worker listens: an abstract socket, which leaves no file behind."""
    return f"\0remotemod-{token}-{worker}"


class ShmBackend(Backend):
    """Reaches workers on this machine; see ``docs/backends.md``.

    Args:
        workers: their names, by rank.
        token: names the cluster on this machine.
    """

    name = "shm"
    capabilities = Capabilities(processes=True, code=True)
    workers: Sequence[str] = ()

    def __init__(self, workers: Sequence[str], token: str) -> None:
        self.workers = tuple(workers)
        self.token = token
        self.cluster: Cluster | None = None
        self.owner: Owner | None = None
        self._connections: dict[str, Connection] = {}
        self._processes: Processes | None = None
        self._lock = threading.RLock()  # finalizers may come in the middle
        self._closed = False
        self._told_path = list(sys.path)
        self._pid = os.getpid()

    # --- the Backend protocol -----------------------------------------------------------------

    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Sends a request to a worker."""
        if os.getpid() != self._pid:
            raise RemoteModError(
                "this process was forked from the one that opened the cluster and cannot use it: "
                "launch a cluster of its own, or start the process by spawn"
            )
        if sys.path != self._told_path and self._processes is not None:
            self._tell_path()
        connection = self._connections.get(worker) or self._connect(worker)
        return connection.submit(request, timeout)

    def call(self, worker: str, request: Request, timeout: float | None) -> Any:
        """Sends a request to a worker and waits for its answer."""
        return self.submit(worker, request, timeout).wait()

    def post(self, worker: str, request: Request) -> None:
        """Sends a request that nobody answers."""
        if os.getpid() != self._pid:
            return  # the handles that died here are copies of the parent's
        connection = self._connections.get(worker)
        if connection is None:
            with contextlib.suppress(RemoteModError):
                connection = self._connect(worker)
        if connection is not None:
            connection.post(request)

    def close(self) -> None:
        """Ends the workers that this process started."""
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
        for connection in self._connections.values():
            connection.close(RemoteModError("the cluster was closed during the call"))
        if self._processes is not None:
            self._processes.end()

    # --- connections --------------------------------------------------------------------------

    def _connect(self, worker: str) -> Connection:
        """From one worker to another: its listening socket."""
        with self._lock:
            if worker in self._connections:
                return self._connections[worker]
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(address_of(self.token, worker))
            except OSError as error:
                sock.close()
                raise WorkerLost(f"worker '{worker}' cannot be reached: {error}", worker) from error
            return self._add(worker, sock)

    def _add(self, worker: str, sock: socket.socket) -> Connection:
        codec = make_codec(receiver=worker, cluster=self._cluster, owner=self.owner, peer=None)
        connection = Connection(Channel(sock), codec, worker, lambda: self._why_lost(worker))
        self._connections[worker] = connection
        return connection

    def _cluster(self) -> Cluster:
        assert self.cluster is not None
        return self.cluster

    def _tell_path(self) -> None:
        """What this process can import by now, its workers can."""
        self._told_path = list(sys.path)
        request = Invoke(extend_path, (import_path(),))
        for connection in list(self._connections.values()):
            connection.submit(request, None)

    # --- processes ----------------------------------------------------------------------------

    def start(self, timeout: float | None, threads: int | None) -> None:
        """Forks the workers and waits until each of them answers.

        Args:
            timeout: seconds that a worker's own calls may take by default.
            threads: threads a worker computes with; None for as many as this process.

        Raises:
            BackendUnavailable: no process can be started.
        """
        processes = self._processes = Processes("remotemod.backends.shm.worker:run")
        config = {"workers": self.workers, "token": self.token, "timeout": timeout}
        for name in self.workers:
            self._add(name, processes.start(name, config, threads))
        ready = [self.submit(name, Invoke(os.getpid), _START_TIMEOUT) for name in self.workers]
        for future in ready:
            future.wait()

    def pid(self, worker: str) -> int:
        """The process id of a worker that this process started."""
        assert self._processes is not None
        return self._processes.pid(worker)

    def _why_lost(self, worker: str) -> str:
        if self._processes is None or self._closed:
            return ""
        return self._processes.why_lost(worker)


def extend_path(entries: list[str]) -> None:
    """On a worker: imports from these places too."""
    import importlib

    missing = [entry for entry in entries if entry not in sys.path]
    sys.path[:0] = missing
    importlib.invalidate_caches()


def launch(
    workers: Sequence[str], *, timeout: float | None = DEFAULT_TIMEOUT, threads: int | None = None
) -> Cluster:
    """Starts worker processes on this machine.

    Args:
        workers: their names.
        timeout: seconds that a call may take by default; None for no bound.
        threads: threads a worker computes with; by default as many as this process, so that results are
            the same to the last bit.
    """
    backend = ShmBackend(workers, uuid.uuid4().hex[:12])
    cluster = Cluster(backend, timeout=timeout)
    backend.cluster = cluster
    try:
        backend.start(timeout, threads)
    except BaseException:
        cluster.close()
        raise
    close_at_exit(cluster)
    return cluster
