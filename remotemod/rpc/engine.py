"""The few things that an engine must be able to do to carry remote modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor

from remotemod.autograd.owner import Pass, differentiate_kept
from remotemod.autograd.tensors import GraphMode
from remotemod.future import Future
from remotemod.requests import Call, Invoke, Request
from remotemod.stub.loader import LoadedStub, StubName

if TYPE_CHECKING:
    from remotemod.handles.module import RemoteModule

__all__ = ["Backend", "Capabilities", "Line", "PreparedRequest"]


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do, for those who must decide by it.

    Attributes:
        processes: workers are processes of their own (a crash there is not a crash here).
        code: classes and functions that cannot be imported may travel by value.
        shares_memory: values are handed over as they are, nothing is copied.
        device_tensors: tensors on an accelerator may cross without going through the CPU.
    """

    processes: bool
    code: bool
    shares_memory: bool = False
    device_tensors: bool = False


class Line(Protocol):
    """One method of one remote module, with all worked out that its calls have in common."""

    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Any:
        """Runs the method and waits; see :meth:`Backend.call`."""

    def submit(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Future[Any]:
        """Starts the method; see :meth:`Backend.submit`."""


@runtime_checkable
class Backend(Protocol):
    """An engine that carries requests to workers; inherit from it for what has a default.

    Attributes:
        name: the name under which ``rm.launch`` and ``rm.connect`` know it.
        capabilities: what it can do.
        caller: the name of this process, as profiles show it.
    """

    name: str
    capabilities: Capabilities
    caller: str = "caller"

    @property
    def workers(self) -> Sequence[str]:
        """The names of the workers, by rank."""

    @property
    def address(self) -> str | None:
        """What ``rm.connect`` takes in other processes; None where these cannot reach the workers."""
        return None

    @property
    def closed(self) -> bool:
        """Whether the engine has ended by itself, so that nothing can be sent any more."""
        return False

    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Sends ``request`` and returns the future of its answer.

        Requests of one thread to one worker begin in the order they were sent.

        Raises:
            WorkerLost: the worker is gone (may also come through the future).
            ProtocolError: the request holds a value that cannot travel.
        """

    def call(self, worker: str, request: Request, timeout: float | None) -> Any:
        """Like :meth:`submit` and waiting, without the cost of a future where there is a cheaper way."""

    def line(self, worker: str, call: Call) -> Line:
        """The way that all calls of one method take; an engine with a cheaper one has its own.

        Args:
            worker: the module's owner.
            call: such a call, without arguments.
        """
        return PreparedRequest(self, worker, call)

    def post(self, worker: str, request: Request) -> None:
        """Sends a request that nobody answers. Never blocks and never raises: finalizers call this."""

    def keeps_device(self, worker: str) -> bool:
        """Whether results of a worker may stay on its accelerator (``is_device_map_set``)."""
        return self.capabilities.device_tensors

    def graph_mode(self, recompute: bool) -> GraphMode:
        """What owners do with the graph of a call whose caller records gradients, at this moment.

        Args:
            recompute: whether the module's handle asks for calls to be run again in backward.
        """
        if recompute:
            return GraphMode.RECOMPUTE
        # Values that are handed over as they are bring their graph along.
        return GraphMode.SHARE if self.capabilities.shares_memory else GraphMode.KEEP

    def differentiate(
        self,
        worker: str,
        graph: Any,
        grads: Sequence[Tensor | None],
        how: Pass,
        timeout: float | None,
    ) -> Any:
        """Has an owner run a kept graph backwards; see :func:`remotemod.autograd.owner.differentiate`.

        Args:
            worker: the owner.
            graph: the reference to the graph.
            grads: the gradient of each output; None where there is none.
            how: what the pass is to do.
            timeout: seconds that it may take.
        """
        return self.call(worker, Invoke(differentiate_kept, (graph, grads, tuple(how))), timeout)

    def key(self, ref: Any, stub: LoadedStub | StubName, extension: Any) -> Any:
        """How calls name a module.

        Args:
            ref: the reference, as the owner handed it out.
            stub: what will be called on it.
            extension: what the engine's owner said of the reference (:attr:`Built.extension`).
        """
        return ref._id

    def prepare_script(self, module: RemoteModule) -> None:
        """Prepare a handle that TorchScript is about to compile.

        Compiled handles call by dispatcher operators. An engine that runs compiled code by itself may give the handle a
        class that calls otherwise; such a class has :attr:`RemoteModule._operator_class`.
        """
        return

    def reduce(self, module: RemoteModule) -> Any:
        """What pickle makes of a handle where the engine's users pickle by themselves.

        Raises:
            RuntimeError: they do not, or this is no remote call.
        """
        # Torch's own tests look for the first two sentences.
        raise RuntimeError(
            "Cannot pickle RemoteModule in python pickler. RemoteModule can only be pickled when using RPC. "
            "To keep its weights, save state_dict() (a parent's holds them too) or call save(path), and build "
            "the module anew; to give it to another worker, pass it as an argument of a remote call"
        )

    def close(self) -> None:
        """Ends the workers that this backend started; leaves no process, socket or file. Idempotent."""


class PreparedRequest:
    """A line that makes a request of each call.

    Args:
        backend: what carries the requests.
        worker: the module's owner.
        call: such a call, without arguments.
    """

    def __init__(self, backend: Backend, worker: str, call: Call) -> None:
        self.backend = backend
        self.worker = worker
        self._head = call.ref, call.stub, call.method
        self._tail = call.device, call.is_device_map_set

    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Any:
        """Runs the method and waits."""
        return self.backend.call(self.worker, self.request(args, kwargs, graph_mode), timeout)

    def submit(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Future[Any]:
        """Starts the method."""
        return self.backend.submit(self.worker, self.request(args, kwargs, graph_mode), timeout)

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int) -> Call:
        """The request of one call."""
        return Call(*self._head, args, kwargs, *self._tail, int(graph_mode))
