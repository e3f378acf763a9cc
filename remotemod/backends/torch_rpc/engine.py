"""The engine over torch's RPC: requests through the agent that this process has."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed.rpc as rpc
from torch import nn

from remotemod.autograd.tensors import GraphMode
from remotemod.backends.processes.workers import Loss
from remotemod.backends.torch_rpc.agent import generation, is_running
from remotemod.backends.torch_rpc.futures import future_of, rpc_timeout, translated
from remotemod.backends.torch_rpc.native import (
    Native,
    NativeKey,
    compiled,
    declare,
    native_path,
)
from remotemod.backends.torch_rpc.owner import CODEC, FAILED, PACKED, serve
from remotemod.backends.torch_rpc.serialization import (
    is_plain,
    pack,
    reduce_handle,
    register_scripted,
    unpack,
)
from remotemod.errors import WorkerLost
from remotemod.future import Future
from remotemod.handles.members import own_client
from remotemod.requests import Build, Call, Differentiate, Invoke, Load, Reply, Request
from remotemod.rpc.engine import Capabilities, Engine
from remotemod.rpc.messages import recorded
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.loader import LoadedStub, StubName, load_stub
from remotemod.torch_compat.rpc import (
    has_device_map,
    in_autograd_context,
    is_pickling,
    reference_class,
    worker_names,
)
from remotemod.trees import map_tensors, move_to_caller
from remotemod.wire.failure import unpack_failure

__all__ = ["TorchRpcEngine"]


class TorchRpcEngine(Engine):
    """The engine of this process's RPC agent; see ``docs/torch-rpc.md``.

    Args:
        workers: their names by rank, where they are not all that the agent knows.
        same_main: whether all workers run the same ``__main__``, as programs do that call ``init_rpc``
            themselves.
        why_lost: finds the fate of a worker's process, in the process that started it.
    """

    name = "torch_rpc"
    capabilities = Capabilities(processes=True, code=True, device_tensors=True)

    def __init__(
        self,
        workers: Sequence[str] | None = None,
        *,
        same_main: bool = True,
        why_lost: Callable[[str], Loss | None] | None = None,
    ) -> None:
        self._workers = workers
        self._same_main = same_main
        self._why_lost = why_lost
        self._generation = generation()
        self._mapped: dict[str, bool] = {}
        self.caller = rpc.get_worker_info().name
        # ``isinstance(ref, RemoteRef)`` holds for references of every backend.
        RemoteRef.register(reference_class())
        register_scripted()

    @property
    def workers(self) -> Sequence[str]:  # type: ignore[override]  # members come and go
        """The names of the workers, by rank."""
        if self._workers is not None:
            return self._workers
        return worker_names()

    @property
    def address(self) -> str:
        """The address for members of the group."""
        return "torchrpc://"

    @property
    def closed(self) -> bool:
        """Whether ``rpc.shutdown`` has ended the agent."""
        return not is_running() or generation() is not self._generation

    # --- requests -----------------------------------------------------------------------------

    def submit(self, worker: str, request: Request, timeout: float | None) -> Future[Any]:
        """Send a request to a worker."""
        try:
            inner, finish = self._send(worker, request, timeout)
        except RuntimeError as error:
            raise self._translated(error, worker) from None
        translate = functools.partial(self._translated, worker=worker)
        graph = _may_keep_a_graph(request)
        return future_of(inner, f"a call to '{worker}'", finish, translate, even_unwanted=graph)

    def call(self, worker: str, request: Request, timeout: float | None) -> Any:
        """Send a request to a worker and wait for its answer."""
        try:
            inner, finish = self._send(worker, request, timeout)
            return finish(inner.wait())
        except RuntimeError as error:
            raise self._translated(error, worker) from None

    def post(self, worker: str, request: Request) -> None:
        """Release graphs; torch counts everything else itself."""
        if not self.closed:
            with contextlib.suppress(RuntimeError):  # a worker that is gone keeps nothing
                rpc.rpc_async(worker, serve, (pack(request, main_by_value=False), False, False))

    def _send(
        self, worker: str, request: Request, timeout: float | None
    ) -> tuple[Any, Callable[[Any], Any]]:
        seconds = rpc_timeout(timeout)
        keeps_device = False
        with contextlib.suppress(RuntimeError):  # sending raises the error of a missing worker
            keeps_device = self.keeps_device(worker)
        if type(request) is Call and not keeps_device:
            args, kwargs = move_to_caller((request.args, request.kwargs))
            request = request._replace(args=args, kwargs=kwargs)
        if type(request) is Call and type(request.ref) is NativeKey:
            key = request.ref
            function = key.functions.get(request.method)
            if request.graph_mode >= GraphMode.KEEP:
                function = None  # TorchScript's RPC cannot keep a graph
            if function is not None:
                args = (key.ref, request.device, request.is_device_map_set, *request.args)
                inner = rpc.rpc_async(worker, function, args, request.kwargs, seconds)
                return inner, _unchanged if request.graph_mode else _without_grad
            request = request._replace(ref=key.ref)
        elif isinstance(request, (Load, Build)):
            request = self._extended(request)
        if type(request) is Call and is_plain(request.args) and is_plain(request.kwargs):
            sent: Any = tuple(request)
        else:
            runs = isinstance(request, Call) or (isinstance(request, Invoke) and not request.keep)
            sent = pack(
                request,
                main_by_value=not self._same_main,
                on_cpu=not keeps_device,
                records=runs and in_autograd_context(),
            )
        arguments = (sent, not self._same_main, keeps_device)
        inner = rpc.rpc_async(worker, serve, arguments, timeout=seconds)
        return inner, functools.partial(self._answer, worker)

    def _answer(self, worker: str, answer: Any) -> Any:
        form, value, graph = answer
        if form == FAILED:
            raise unpack_failure(unpack(value), CODEC)
        # First of all, so that the graph is released in any case.
        graph_ref = RemoteRef[Any](worker, graph, "graph", self.cluster) if graph else None
        if form == PACKED:
            value = unpack(value)
        return recorded(Reply(value, graph), lambda _: graph_ref)

    def _translated(self, error: Exception, worker: str) -> Exception:
        """The error of ours for one of torch's RPC."""
        ours = translated(error, worker)
        loss = None
        if isinstance(ours, WorkerLost) and self._why_lost is not None:
            loss = self._why_lost(worker)
        return ours if loss is None else loss.error(worker)

    # --- TorchScript --------------------------------------------------------------------------

    def _extended(self, request: Load | Build) -> Load | Build:
        """A request with the native path of its stub."""
        load = request.load if isinstance(request, Build) else request
        if load is None:
            return request
        path = native_path(load_stub(load.text, load.injected), main=self._same_main)
        if path is None:
            return request
        declare(load.digest, path)  # the reply may hold a reference of that type
        load = load._replace(extension=path)
        return request._replace(load=load) if isinstance(request, Build) else load

    def _native(self, stub: LoadedStub | StubName, extension: Any) -> Native | None:
        """The native path to a module with a typed reference; None where TorchScript cannot use it."""
        if not extension or not isinstance(stub, LoadedStub):
            return None
        native = declare(stub.digest, native_path(stub, main=self._same_main))
        return None if compiled(native) is None else native

    def key(self, ref: Any, stub: LoadedStub | StubName, extension: Any) -> Any:
        """The reference itself, with the compiled functions where TorchScript can follow it."""
        functions = compiled(self._native(stub, extension))
        return ref if functions is None else NativeKey(ref, functions)

    def prepare_script(self, module: Any) -> None:
        """Have a handle call by torch's RPC itself, where TorchScript can follow its reference."""
        client = own_client(module)
        native = self._native(client.spec.stub, client.spec.extension)
        if native is not None:
            native.prepare(module, rpc_timeout(client.timeout), self.caller)

    # --- the rest -----------------------------------------------------------------------------

    def keeps_device(self, worker: str) -> bool:
        """Whether there is a device map to the worker."""
        if worker not in self._mapped:  # maps are made before the agent
            self._mapped[worker] = has_device_map(worker)
        return self._mapped[worker]

    def graph_mode(self, recompute: bool) -> GraphMode:
        """Inside of a ``torch.distributed.autograd`` context torch records calls itself."""
        return GraphMode.SHARE if in_autograd_context() else super().graph_mode(recompute)

    def is_own_reference(self, ref: object) -> bool:
        """Whether it is one of torch's."""
        return isinstance(ref, reference_class())

    def reduce(self, module: nn.Module) -> Any:
        """The reduction of a handle, inside of torch's own RPC pickler."""
        return reduce_handle(module) if is_pickling() else super().reduce(module)

    def close(self) -> None:
        """Do nothing: the agent is the program's own."""


def _may_keep_a_graph(request: Request) -> bool:
    if isinstance(request, Differentiate):
        return True
    return isinstance(request, (Call, Invoke)) and request.graph_mode >= GraphMode.KEEP


def _unchanged(value: Any) -> Any:
    return value


def _without_grad(value: Any) -> Any:
    if type(value) is torch.Tensor and not value.requires_grad:
        return value
    return map_tensors(value, lambda t: t.detach() if t.requires_grad else t)
