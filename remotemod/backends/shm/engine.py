"""The engine of shm: starts the workers, keeps a connection to each, and ends them."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from remotemod.autograd.tensors import GraphMode
from remotemod.backends.processes.workers import Loss, Processes, import_path
from remotemod.backends.serialization import make_codec
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.connection import Connection
from remotemod.backends.shm.prepared import PreparedShmCall, pack_backward
from remotemod.backends.shm.protocol import CALL, GRAPH_MODE_SHIFT
from remotemod.backends.shm.sockets import connect_to
from remotemod.errors import BackendUnavailable, DeadlineExceeded, RemoteModError, WorkerLost
from remotemod.future import Future
from remotemod.owner.endpoint import GRAPHS
from remotemod.owner.owner import Owner
from remotemod.process import Slot, slot
from remotemod.requests import Call, Differentiate, ExtendPath, Invoke, Request
from remotemod.rpc.engine import Capabilities, Engine, PreparedCall
from remotemod.rpc.ref import RemoteRef

__all__ = ["SCHEME", "ShmEngine"]

SCHEME = "shm://"

_START_TIMEOUT = 120.0
_BACKWARD = CALL | GraphMode.SHARE << GRAPH_MODE_SHIFT


class ShmEngine(Engine):
    """Reaches workers on this machine; see ``docs/shm.md``.

    Args:
        workers: their names, by rank.
        token: names the cluster on this machine.
        arena: bytes of shared memory that tensors on their way to one worker may take up at once.
        in_flight: calls that may be in flight to one worker.

    Attributes:
        owner: the owner of this process, where it is a worker.
        is_guest: whether this process has connected to workers that another one launched.
        is_forked: whether this process was forked from the one that the engine belongs to.
    """

    name = "shm"
    capabilities = Capabilities(processes=True, code=True)
    workers: Sequence[str] = ()

    def __init__(self, workers: Sequence[str], token: str, arena: int, in_flight: int) -> None:
        self.workers = tuple(workers)
        self.token = token
        self.arena = arena
        self.in_flight = in_flight
        self.owner: Owner | None = None
        self._connections: dict[str, Connection] = {}
        self._processes: Processes | None = None
        self._lock = threading.RLock()  # a finalizer may run in the middle
        self._starting = False
        self._closed = False
        self.is_guest = False
        self._sent_path = list(sys.path)
        self.is_forked = False
        _ENGINES.value.add(self)

    # --- requests -----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where other processes of this user connect, on this machine."""
        return SCHEME + self.token

    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Sends a request to a worker."""
        connection = self._connections.get(worker) or self._connect(worker)
        if sys.path != self._sent_path:
            self._send_path()
        return connection.request(request, timeout)

    def call(self, worker: str, request: Request, timeout: float | None) -> Any:
        """Sends a request to a worker and waits for its result."""
        if type(request) is Differentiate:
            packed = pack_backward(request)
            if packed is not None:
                connection = self._connections.get(worker) or self._connect(worker)
                endpoint_id = connection.endpoint_id(GRAPHS, (), timeout)
                return connection.exchange(_BACKWARD, packed, endpoint_id, timeout)
        return self.submit(worker, request, timeout).wait()

    def prepare(self, worker: str, call: Call) -> PreparedCall:
        """Prepares calls that take the fast path where their arguments are plain."""
        connection = self._connections.get(worker) or self._connect(worker)
        return PreparedShmCall(self, worker, call, connection)

    def post(self, worker: str, request: Request) -> None:
        """Sends a request that is not answered."""
        connection = self._connections.get(worker)
        if connection is None:
            with contextlib.suppress(RemoteModError):
                connection = self._connect(worker)
        if connection is not None:
            connection.post(request)

    def close(self) -> None:
        """Ends the connections, and the workers that this process started."""
        with self._lock:
            if self._closed or self.is_forked:
                return
            self._closed = True
        for connection in self._connections.values():
            connection.close(RemoteModError("the cluster was closed during the call"))
        if self._processes is not None:
            self._processes.end()

    def disown(self) -> None:
        """In a forked process: leaves the workers to the parent."""
        self.is_forked = True
        self._lock = threading.RLock()  # another thread of the parent may hold the old one
        for connection in self._connections.values():
            connection.disown(RemoteModError(_FORKED))

    # --- connections --------------------------------------------------------------------------

    def _connect(self, worker: str) -> Connection:
        """Connects to the socket on which a worker listens, unless there is a connection: for other workers, and guests."""
        with self._lock:
            if worker in self._connections:
                return self._connections[worker]
            if self.is_forked:
                raise RemoteModError(_FORKED)
            connection = self._add(worker, connect_to(self.token, worker))
            if self.is_guest:
                connection.request(self._extend_path(), None)
            return connection

    def _add(self, worker: str, sock: socket.socket) -> Connection:
        codec = make_codec(
            receiver=worker, cluster=lambda: self.cluster, owner=self.owner, session=None
        )
        connection = Connection(
            Channel(sock, self.arena),
            codec,
            worker,
            lambda error: self._lost_error(worker, error),
            lambda number: RemoteRef(worker, number, "graph", self.cluster),
            self.in_flight,
        )
        self._connections[worker] = connection
        return connection

    def connect_to_all(self) -> None:
        """Connects to every worker that lives, so that each can import what this process can."""
        for worker in self.workers:
            with contextlib.suppress(WorkerLost):
                self._connections.get(worker) or self._connect(worker)

    def _send_path(self) -> None:
        """Lets the workers import what this process can by now."""
        self._sent_path = list(sys.path)
        if self._processes is not None or self.is_guest:
            request = self._extend_path()
            for connection in list(self._connections.values()):
                connection.request(request, None)

    def _extend_path(self) -> ExtendPath:
        # A guest's entries come last: it must not change what others import.
        return ExtendPath(list(import_path()), not self.is_guest)

    # --- processes ----------------------------------------------------------------------------

    def start(self, timeout: float | None, threads: int | None, max_concurrency: int) -> None:
        """Forks the workers and waits until each of them answers.

        Args:
            timeout: seconds that a worker's own calls may take by default.
            threads: threads a worker computes with; None for as many as this process.
            max_concurrency: calls of one caller that a worker runs at once.

        Raises:
            BackendUnavailable: no process can be started, or one does not come up.
            WorkerLost: a worker ended while it started.
        """
        processes = self._processes = Processes("remotemod.backends.shm.worker:run")
        config = {
            "workers": self.workers,
            "token": self.token,
            "timeout": timeout,
            "arena": self.arena,
            "in_flight": self.in_flight,
            "max_concurrency": max_concurrency,
        }
        for name, primary in processes.start(self.workers, config, threads).items():
            self._add(name, primary)
        self._starting = True
        pids = [self.submit(name, Invoke(os.getpid), _START_TIMEOUT) for name in self.workers]
        for name, future in zip(self.workers, pids, strict=True):
            try:
                future.wait()
            except DeadlineExceeded:
                raise BackendUnavailable(
                    f"worker '{name}' did not start within {_START_TIMEOUT:g} s"
                ) from None
        self._starting = False

    def pid(self, worker: str) -> int:
        """The process id of a worker that this process started."""
        assert self._processes is not None
        return self._processes.pid(worker)

    def _lost_error(self, worker: str, error: Exception) -> WorkerLost:
        """What calls to a worker fail with after its connection has ended with an error."""
        loss = Loss(_GUEST_LOSS) if self.is_guest else None
        if self._processes is not None and not self._closed:
            loss = self._processes.why_lost(worker)
        when = "ended while it started" if self._starting else "is gone"
        return (loss or Loss(str(error))).error(worker, when=when)


_GUEST_LOSS = (
    "it has ended by itself, or with the process that launched it, which knows more. When that closes its cluster or "
    "ends, so do its workers: launch them anew, and connect to the new cluster.address"
)
_FORKED = (
    "this process was forked from the one that opened the cluster and cannot use it: "
    "launch a cluster of its own, or start the process by spawn"
)


def _disown_all(engines: weakref.WeakSet[ShmEngine]) -> weakref.WeakSet[ShmEngine]:
    for engine in list(engines):
        engine.disown()
    return weakref.WeakSet()


# Lasting: an engine that is open must be disowned in a child, whatever a reset has forgotten.
_ENGINES: Slot[weakref.WeakSet[ShmEngine]] = slot(
    "the shm engines of this process", weakref.WeakSet, in_child=_disown_all, lasting=True
)
