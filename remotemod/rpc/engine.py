"""The seam: what the runtime asks of an engine that carries requests to workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from remotemod.autograd.tensors import GraphMode
from remotemod.future import Future
from remotemod.requests import Call, Request
from remotemod.stub.loader import LoadedStub, StubName

__all__ = ["Capabilities", "Engine", "PreparedCall", "PreparedRequest"]


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do.

    Attributes:
        processes: workers are processes of their own (a crash of one leaves the caller alive).
        code: classes and functions that cannot be imported may travel by value.
        shares_memory: values are handed over as they are, nothing is copied.
        device_tensors: tensors on an accelerator may cross without going through the CPU.
    """

    processes: bool
    code: bool
    shares_memory: bool = False
    device_tensors: bool = False


class Engine(ABC):
    """A carrier of requests to workers and of their results back.

    Most engines are best written as a :class:`remotemod.backends.base.Transport` under a
    :class:`remotemod.backends.base.MessageEngine`, which turns requests into messages of bytes and tensors. An engine
    that can do with less implements this class.
    """

    name: str
    """The name under which ``rm.launch`` knows the backend."""

    capabilities: Capabilities
    """What the engine can do."""

    workers: Sequence[str]
    """The names of the workers, by rank."""

    caller: str = "caller"
    """The name of this process, as profiles show it."""

    cluster: Any = None
    """The cluster that the engine carries requests for; set by the cluster."""

    @abstractmethod
    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Send a request and return the future of its result.

        Requests of one thread to one worker begin in the order they were sent. A result whose graph the worker keeps
        is a :class:`remotemod.autograd.owner.Recorded`.

        Args:
            worker: the worker that runs it.
            request: what to run.
            timeout: seconds that it may take; None for none.

        Raises:
            WorkerLost: the worker is gone (may also come through the future).
            ProtocolError: the request holds a value that cannot travel.
        """

    @abstractmethod
    def post(self, worker: str, request: Request) -> None:
        """Send a request that has no reply. Must neither block nor raise: finalizers call this."""

    @abstractmethod
    def close(self) -> None:
        """End the workers that this engine started; leave no process, socket or file. Idempotent."""

    # --- defaults -----------------------------------------------------------------------------

    @property
    def address(self) -> str | None:
        """The address for ``rm.connect`` in other processes; None where these cannot reach the workers."""
        return None

    @property
    def closed(self) -> bool:
        """Whether the engine has ended by itself, so that nothing can be sent any more."""
        return False

    def call(self, worker: str, request: Request, timeout: float | None) -> Any:
        """Submit a request and wait for its result; for engines that need no future for that."""
        return self.submit(worker, request, timeout).wait()

    def prepare(self, worker: str, call: Call) -> PreparedCall:
        """The prepared call of one method: all that its calls have in common, computed once.

        Args:
            worker: the module's owner.
            call: a call without arguments.
        """
        return PreparedRequest(self, worker, call)

    def keeps_device(self, worker: str) -> bool:
        """Whether results of a worker may stay on its accelerator (``is_device_map_set``)."""
        return self.capabilities.device_tensors

    def graph_mode(self, recompute: bool) -> GraphMode:
        """The graph mode of a call that records gradients, at this moment.

        Args:
            recompute: whether the module's handle asks for calls to be run again in backward.
        """
        if recompute:
            return GraphMode.RECOMPUTE
        # A value that is not copied still has its graph.
        return GraphMode.SHARE if self.capabilities.shares_memory else GraphMode.KEEP

    def is_own_reference(self, ref: object) -> bool:
        """Whether a reference is of the engine's own kind, which does not name its cluster."""
        return False

    def reduce(self, module: nn.Module) -> Any:
        """The reduction of a handle for pickle, where users of the engine pickle by themselves.

        Raises:
            RuntimeError: the engine has none, or this is no remote call.
        """
        # Torch's own tests look for the first two sentences.
        raise RuntimeError(
            "Cannot pickle RemoteModule in python pickler. RemoteModule can only be pickled when using RPC. "
            "To keep its weights, save state_dict() (a parent's holds them too) or call save(path), and build "
            "the module anew; to give it to another worker, pass it as an argument of a remote call"
        )

    def key(self, ref: Any, stub: LoadedStub | StubName, extension: Any) -> Any:
        """The key by which calls name a module.

        Args:
            ref: the reference, as the owner handed it out.
            stub: what will be called on it.
            extension: the owner's extension of the reference (:attr:`Built.extension`).
        """
        return ref.number

    def prepare_script(self, module: Any) -> None:
        """Prepare a handle that TorchScript is about to compile.

        Compiled handles call by dispatcher operators. An engine that runs compiled code by itself may give the handle another
        class; such a class names the one that calls by operators as ``_operator_class``.

        Args:
            module: the handle, a :class:`remotemod.RemoteModule`.
        """
        return


class PreparedCall(ABC):
    """All that the calls of one method of a remote module have in common."""

    @abstractmethod
    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Any:
        """Run the method and wait for its result.

        Args:
            args: its positional arguments.
            kwargs: its keyword arguments.
            graph_mode: a :class:`remotemod.autograd.tensors.GraphMode`.
            timeout: seconds that it may take; None for none.
        """

    @abstractmethod
    def submit(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Future[Any]:
        """Start the method; arguments as :meth:`call` has them."""


class PreparedRequest(PreparedCall):
    """A prepared call that makes a request of each call.

    Args:
        engine: carries the requests.
        worker: the module's owner.
        call: a call without arguments.
    """

    __slots__ = ("_engine", "_head", "_tail", "_worker")

    def __init__(self, engine: Engine, worker: str, call: Call) -> None:
        self._engine = engine
        self._worker = worker
        self._head = call.ref, call.stub, call.method
        self._tail = call.device, call.is_device_map_set

    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Any:
        """Run the method and wait for its result."""
        return self._engine.call(self._worker, self._request(args, kwargs, graph_mode), timeout)

    def submit(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Future[Any]:
        """Start the method."""
        return self._engine.submit(self._worker, self._request(args, kwargs, graph_mode), timeout)

    def _request(self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int) -> Call:
        return Call(*self._head, args, kwargs, *self._tail, int(graph_mode))
