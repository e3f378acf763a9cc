"""A set of workers, and the engine that reaches them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from remotemod.autograd.owner import Pass
from remotemod.autograd.tensors import GraphMode
from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.process import Slot, slot
from remotemod.requests import Build, Built, Call, Differentiate, Invoke, Load, Release, Request
from remotemod.rpc.engine import Capabilities, Engine, PreparedCall
from remotemod.rpc.placement import Placement
from remotemod.stub.loader import LoadedStub
from remotemod.timeouts import resolve_timeout

__all__ = ["Cluster", "latest_open", "make_current"]


class Cluster:
    """Workers that can own modules.

    ``rm.launch`` and ``rm.connect`` make clusters. As a context manager a cluster is current inside
    the block and closed at its end.

    Args:
        engine: carries the requests.
        timeout: seconds that a call may take by default; None for the engine's own timeout, ``math.inf`` for none.

    Raises:
        TypeError: the engine lacks one of its attributes.

    Attributes:
        engine: carries the requests; for the runtime and for authors of engines.
        was_closed: whether :meth:`close` was called; every call looks at it.
    """

    def __init__(self, engine: Engine, *, timeout: float | None = None) -> None:
        for name in ("name", "capabilities", "workers"):
            if not hasattr(engine, name):
                raise TypeError(
                    f"{type(engine).__name__} has no attribute '{name}'; see {Engine.__name__}"
                )
        self.engine = engine
        engine.cluster = self
        self._timeout = resolve_timeout(timeout)
        self._loaded: dict[tuple[str, str], Future[Any]] = {}
        self._lock = threading.Lock()
        self.was_closed = False
        self._closers: list[Callable[[], object]] = []

    @property
    def workers(self) -> list[str]:
        """The names of the workers, by rank."""
        return list(self.engine.workers)

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self.engine.name

    @property
    def address(self) -> str | None:
        """Where other processes reach these workers with ``rm.connect``, while the cluster is open.

        ``shm://…`` for processes of the same user on the same machine; ``torchrpc://`` for members of the RPC
        group; None on ``inproc``, whose workers are in this process.
        """
        return self.engine.address

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return self.engine.capabilities

    @property
    def caller(self) -> str:
        """The name of this process, as profiles show it."""
        return self.engine.caller

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may take by default; None for the engine's own timeout, ``math.inf`` for none."""
        return self._timeout

    def ping(self, worker: str, timeout: float | None = None) -> float:
        """Seconds that the worker takes to answer a request that does nothing.

        Args:
            worker: its name, or its rank.
            timeout: seconds; None for the cluster's timeout, ``math.inf`` for none.

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

    # --- requests -----------------------------------------------------------------------------

    def submit(self, worker: str, request: Request, timeout: float | None = None) -> Future[Any]:
        """Send a request to a worker; see :class:`remotemod.rpc.engine.Engine`."""
        self.check_open()
        return self.engine.submit(worker, request, self._resolved(timeout))

    def call(self, worker: str, request: Request, timeout: float | None = None) -> Any:
        """Send a request to a worker and wait for its result."""
        self.check_open()
        return self.engine.call(worker, request, self._resolved(timeout))

    def post(self, worker: str, request: Request) -> None:
        """Send a request that has no reply; never raise."""
        if not self.was_closed:
            self.engine.post(worker, request)

    def release(self, worker: str, ref: int) -> None:
        """Release one handle on a kept value; for finalizers."""
        self.post(worker, Release([ref]))

    def prepare(self, worker: str, call: Call) -> PreparedCall:
        """The prepared call of one method; see :class:`remotemod.rpc.engine.Engine`."""
        self.check_open()
        return self.engine.prepare(worker, call)

    def graph_mode(self, recompute: bool) -> GraphMode:
        """The graph mode of calls; see :class:`remotemod.rpc.engine.Engine`."""
        return self.engine.graph_mode(recompute)

    def differentiate(
        self,
        worker: str,
        graph: Any,
        grads: Sequence[Tensor | None],
        how: Pass,
        timeout: float | None,
    ) -> Any:
        """Have an owner run a kept graph backwards; see :func:`remotemod.autograd.owner.differentiate`.

        Args:
            worker: the owner.
            graph: the reference to the graph.
            grads: the gradient of each output; None where there is none.
            how: what the pass is to do.
            timeout: seconds that it may take; None for the cluster's timeout.
        """
        request = Differentiate(graph.number, list(grads), tuple(how))
        gradients = self.call(worker, request, timeout)
        if not how.keep:
            graph.is_gone()
        return gradients

    def load(self, worker: str, stub: LoadedStub) -> Future[Any]:
        """Send a stub to a worker, once.

        Returns:
            The future of the worker's acknowledgement.
        """
        key = (worker, stub.digest)
        with self._lock:
            loading = self._loaded.get(key)
            if loading is None or _failed(loading):
                loading = self._loaded[key] = self.submit(worker, _load(stub))
            return loading

    def build(self, worker: str, request: Build, stub: LoadedStub | None, timeout: Any) -> Built:
        """Build a module; the stub that will be called on it goes along unless the worker has it."""
        if stub is not None:
            key = (worker, stub.digest)
            loading = self._loaded.get(key)
            is_loaded = loading is not None and not _failed(loading)
            request = request._replace(stub=stub.digest, load=None if is_loaded else _load(stub))
        built: Built = self.call(worker, request, timeout)
        if stub is not None and request.load is not None:
            loaded: Future[Any] = Future("loading a stub")
            loaded.set_result(None)
            self._loaded[key] = loaded
        return built

    def _resolved(self, timeout: float | None) -> float | None:
        return resolve_timeout(timeout, self._timeout)

    @property
    def closed(self) -> bool:
        """Whether the cluster was closed, or its engine has ended by itself."""
        return self.was_closed or self.engine.closed

    def check_open(self) -> None:
        """Raise RemoteModError if nothing can be sent any more."""
        if self.closed:
            raise RemoteModError(
                "the cluster is closed; launch another one (rm.launch), and build its modules anew"
            )

    # --- opening and closing ------------------------------------------------------------------

    def close(self) -> None:
        """End the workers that were started for this cluster; idempotent.

        Workers that another process has started live on, and release what this process kept on them.
        """
        if self.was_closed:
            return
        self.was_closed = True
        with _OPEN_LOCK.value:
            _remove(self)
        for closer in self._closers:
            closer()
        self.engine.close()

    def on_close(self, closer: Callable[[], object]) -> None:
        """Call ``closer`` when the cluster is closed."""
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


_OPEN: Slot[list[Cluster]] = slot("the clusters that are open, the current one last", list)
_OPEN_LOCK: Slot[threading.Lock] = slot("guards the open clusters", threading.Lock, in_child="new")


def make_current(cluster: Cluster) -> None:
    """Make a cluster the one that is used by default, until it is closed."""
    with _OPEN_LOCK.value:
        _remove(cluster)
        _OPEN.value.append(cluster)


def latest_open() -> Cluster | None:
    """The cluster that was made current last, of those that are open; None where there is none."""
    with _OPEN_LOCK.value:
        return _OPEN.value[-1] if _OPEN.value else None


def _remove(cluster: Cluster) -> None:
    if cluster in _OPEN.value:
        _OPEN.value.remove(cluster)
