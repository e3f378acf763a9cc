"""A set of workers and the backend that reaches them; the one that is current is used by default."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from remotemod.autograd.owner import Pass
from remotemod.autograd.tensors import GraphMode
from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.requests import Build, Built, Call, Invoke, Load, Release, Request
from remotemod.rpc.engine import Backend, Capabilities, Line
from remotemod.rpc.placement import Placement
from remotemod.rpc.registry import ambient_cluster
from remotemod.stub.loader import LoadedStub, StubName

if TYPE_CHECKING:
    from remotemod.handles.module import RemoteModule

__all__ = ["Cluster", "current_cluster", "find_cluster", "set_process_cluster"]

UNSET: Any = object()


class Cluster:
    """Workers that can own modules.

    ``rm.launch`` and ``rm.connect`` make clusters. As a context manager a cluster is current inside
    the block and closed at its end.

    Args:
        backend: carries the requests.
        timeout: seconds that a call may take by default; None for no bound.
    """

    def __init__(self, backend: Backend, *, timeout: float | None = None) -> None:
        self._backend = backend
        self._timeout = timeout
        self._loaded: dict[tuple[str, str], Future[Any]] = {}
        self._lock = threading.Lock()
        self.was_closed = False  # by close(); what every call looks at
        self._closers: list[Callable[[], object]] = []

    @property
    def workers(self) -> list[str]:
        """The names of the workers, by rank."""
        return list(self._backend.workers)

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self._backend.name

    @property
    def address(self) -> str | None:
        """Where other processes reach these workers with ``rm.connect``, while the cluster is open.

        ``shm://…`` for processes of the same user on the same machine; ``torchrpc://`` for members of the RPC
        group; None on ``inproc``, whose workers are in this process.
        """
        return self._backend.address

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return self._backend.capabilities

    @property
    def caller(self) -> str:
        """The name of this process, as profiles show it."""
        return self._backend.caller

    def keeps_device(self, worker: str) -> bool:
        """Whether results of a worker may stay on its accelerator."""
        return self._backend.keeps_device(worker)

    def graph_mode(self, recompute: bool) -> GraphMode:
        """What owners do with the graph of a call; see :class:`remotemod.rpc.engine.Backend`."""
        return self._backend.graph_mode(recompute)

    def differentiate(
        self,
        worker: str,
        graph: Any,
        grads: Sequence[Tensor | None],
        how: Pass,
        timeout: float | None,
    ) -> Any:
        """Has an owner run a kept graph backwards; see :class:`remotemod.rpc.engine.Backend`."""
        self.check_open()
        return self._backend.differentiate(worker, graph, grads, how, self._bound(timeout))

    def key(self, ref: Any, stub: LoadedStub | StubName, extension: Any) -> Any:
        """How calls name a module; see :class:`remotemod.rpc.engine.Backend`."""
        return self._backend.key(ref, stub, extension)

    def prepare_script(self, module: RemoteModule) -> None:
        """Prepare a handle for TorchScript; see :class:`remotemod.rpc.engine.Backend`."""
        self._backend.prepare_script(module)

    def reduce(self, module: RemoteModule) -> Any:
        """What pickle makes of a handle; see :class:`remotemod.rpc.engine.Backend`."""
        return self._backend.reduce(module)

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may take by default; None for no bound."""
        return self._timeout

    def ping(self, worker: str, timeout: float | None = UNSET) -> float:
        """Seconds that the worker takes to answer a request that does nothing.

        Raises:
            WorkerLost: the worker is gone.
            DeadlineExceeded: it did not answer in time.
        """
        import time

        start = time.perf_counter()
        self.call(self.resolve(worker), Invoke(os.getpid), timeout)
        return time.perf_counter() - start

    def resolve(self, worker: str | int) -> str:
        """The name of a worker given by name, rank, or ``"rank:N"``.

        Raises:
            PlacementError: there is no such worker.
        """
        if isinstance(worker, int):
            return Placement(None, worker, "cpu").resolve(self.workers)
        # With a device the text is a worker's, even one that is called like a device.
        return Placement.parse(f"{worker}/cpu").resolve(self.workers)

    # --- what the runtime asks for ------------------------------------------------------------

    def submit(self, worker: str, request: Request, timeout: float | None = UNSET) -> Future[Any]:
        """Sends a request to a worker; see :class:`remotemod.rpc.engine.Backend`."""
        self.check_open()
        return self._backend.submit(worker, request, self._bound(timeout))

    def call(self, worker: str, request: Request, timeout: float | None = UNSET) -> Any:
        """Sends a request to a worker and waits for its answer."""
        self.check_open()
        return self._backend.call(worker, request, self._bound(timeout))

    def release(self, worker: str, ref: int) -> None:
        """One handle less on what a worker keeps; for finalizers."""
        self.post(worker, Release([ref]))

    def post(self, worker: str, request: Request) -> None:
        """Sends a request that nobody answers; never raises."""
        if not self.was_closed:
            self._backend.post(worker, request)

    def load(self, worker: str, stub: LoadedStub) -> Future[Any]:
        """Sees to it that a worker has a stub; sends it once.

        Returns:
            The future of the worker's acknowledgement.
        """
        key = (worker, stub.digest)
        with self._lock:
            found = self._loaded.get(key)
            if found is None or _failed(found):
                found = self._loaded[key] = self.submit(worker, _load(stub))
            return found

    def build(self, worker: str, request: Build, stub: LoadedStub | None, timeout: Any) -> Built:
        """Builds a module; the stub that will be called on it goes along where the worker has it not."""
        if stub is not None:
            key = (worker, stub.digest)
            loading = self._loaded.get(key)
            known = loading is not None and not _failed(loading)
            request = request._replace(stub=stub.digest, load=None if known else _load(stub))
        built: Built = self.call(worker, request, timeout)
        if stub is not None and request.load is not None:
            done: Future[Any] = Future("loading a stub")
            done.set_result(None)
            self._loaded[key] = done
        return built

    def line(self, worker: str, call: Call) -> Line:
        """The way that all calls of one method take; see :class:`remotemod.rpc.engine.Backend`."""
        self.check_open()
        return self._backend.line(worker, call)

    def _bound(self, timeout: float | None) -> float | None:
        return self._timeout if timeout is UNSET or timeout is None else timeout

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its engine has ended by itself."""
        return self.was_closed or self._backend.closed

    def check_open(self) -> None:
        """Raises RemoteModError if nothing can be sent any more."""
        if self.closed:
            raise RemoteModError(
                "the cluster is closed; launch another one (rm.launch), and build its modules anew"
            )

    # --- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends the workers that were started for this cluster; idempotent.

        Workers that somebody else has started live on, and let go of what this process kept on them.
        """
        if self.was_closed:
            return
        self.was_closed = True
        with _STACK_LOCK:
            if self in _STACK:
                _STACK.remove(self)
        for closer in self._closers:
            closer()
        self._backend.close()

    def on_close(self, closer: Callable[[], object]) -> None:
        """Calls ``closer`` when the cluster is closed."""
        self._closers.append(closer)

    def __enter__(self) -> Cluster:
        make_current(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.was_closed else ", ".join(self.workers)
        return f"<remotemod.Cluster {self.backend}: {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Cluster cannot be pickled or sent; send a RemoteModule or a RemoteRef")


def _load(stub: LoadedStub) -> Load:
    return Load(stub.digest, stub.text, dict(stub.injected))


def _failed(loading: Future[Any]) -> bool:
    return loading.settled and loading.exception() is not None


_STACK: list[Cluster] = []
_STACK_LOCK = threading.Lock()
_PROCESS: list[Cluster] = []


def make_current(cluster: Cluster) -> None:
    """Makes a cluster the one that is used by default, until it is closed."""
    with _STACK_LOCK:
        if cluster in _STACK:
            _STACK.remove(cluster)
        _STACK.append(cluster)


def set_process_cluster(cluster: Cluster) -> None:
    """On a worker: the cluster that the worker itself belongs to."""
    _PROCESS[:] = [cluster]


def current_cluster() -> Cluster | None:
    """The cluster that is used where none is named; None where there is none."""
    with _STACK_LOCK:
        if _STACK:
            return _STACK[-1]
    return _PROCESS[0] if _PROCESS else ambient_cluster()


def find_cluster(cluster: Cluster | None = None) -> Cluster:
    """``cluster``, or the current one.

    Raises:
        RemoteModError: there is none.
    """
    found = cluster or current_cluster()
    if found is None:
        raise RemoteModError(
            "there is no cluster: open one with `with rm.launch(workers=…):`, start torch's RPC "
            '(torch.distributed.rpc.init_rpc), or place the module in this process ("cpu")'
        )
    return found
