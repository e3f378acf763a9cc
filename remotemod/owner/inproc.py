"""The engine without processes: workers are threads of this one and nothing is copied."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from remotemod.errors import Cancelled
from remotemod.future import Future
from remotemod.owner.owner import Owner
from remotemod.owner.session import Session
from remotemod.process import Slot, slot
from remotemod.requests import Request
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.engine import Capabilities, Engine
from remotemod.rpc.messages import recorded
from remotemod.rpc.ref import RemoteRef
from remotemod.timeouts import deadline_after

__all__ = ["LOCAL_WORKER", "InprocEngine", "process_cluster"]

LOCAL_WORKER = "local"
"""The name of the worker that is this process, for modules placed on ``"cpu"``."""


class InprocEngine(Engine):
    """An engine over workers in this process.

    A blocking call runs in the caller's own thread; asynchronous calls to one worker run one after
    another in a thread of its own. Values are handed over as they are, so gradients flow and what a
    module changes in place changes for its caller too.

    Args:
        workers: their names.
    """

    name = "inproc"
    workers: Sequence[str] = ()
    capabilities = Capabilities(processes=False, code=True, shares_memory=True, device_tensors=True)

    def __init__(self, workers: Sequence[str]) -> None:
        self.workers = tuple(workers)
        self._sessions = {name: Session(Owner(name)) for name in workers}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._thread_of = threading.local()
        self._lock = threading.Lock()
        self._closed = False

    def call(self, worker: str, request: Request, timeout: float | None) -> Any:
        """Run the request in this thread; with a timeout, in the worker's."""
        if deadline_after(timeout) is not None:
            return self.submit(worker, request, timeout).wait()
        return self._run(self._sessions[worker], request)

    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Run the request in the worker's thread."""
        deadline = deadline_after(timeout)
        future: Future[Any] = Future(f"a call to '{worker}'", deadline=deadline)
        session = self._sessions[worker]

        def run() -> None:
            if future.settled:  # cancelled before it began
                return
            try:
                future.set_result(self._run(session, request))
            except BaseException as error:
                future.set_exception(error)

        if getattr(self._thread_of, "worker", None) == worker:
            run()  # this worker would wait for itself
        else:
            self._thread(worker).submit(run)
        return future

    def post(self, worker: str, request: Request) -> None:
        """Run a request that has no reply."""
        if not self._closed:
            self._sessions[worker].run(request)

    @staticmethod
    def _run(session: Session, request: Request) -> Any:
        reply = session.run(request)
        if not reply.graph:
            return reply.value
        return recorded(reply, functools.partial(_graph_ref, session))

    def close(self) -> None:
        """Wait for running requests, drop those that have not begun, and end the threads."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, {}
        for thread in threads.values():
            thread.shutdown(wait=True, cancel_futures=True)
        self._sessions.clear()

    def _thread(self, worker: str) -> ThreadPoolExecutor:
        with self._lock:
            if self._closed:
                raise Cancelled("the cluster is closed")
            thread = self._threads.get(worker)
            if thread is None:
                thread = ThreadPoolExecutor(
                    1, f"remotemod-{worker}", setattr, (self._thread_of, "worker", worker)
                )
                self._threads[worker] = thread
            return thread


def _graph_ref(session: Session, number: int) -> RemoteRef[Any]:
    owner = session.owner
    return RemoteRef.on_owner(
        owner, number, owner.value(number), lambda ref: session.release([ref])
    )


_LOCAL: Slot[Cluster | None] = slot("the cluster of this process alone", lambda: None)
_LOCAL_LOCK: Slot[threading.Lock] = slot(
    "guards the cluster of this process", threading.Lock, in_child="new"
)


def process_cluster() -> Cluster:
    """The cluster of one worker that is this process itself."""
    with _LOCAL_LOCK.value:
        if _LOCAL.value is None:
            _LOCAL.value = Cluster(InprocEngine([LOCAL_WORKER]))
        return _LOCAL.value
