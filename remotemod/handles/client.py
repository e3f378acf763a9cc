"""How one handle reaches its module: worker, reference, stub and bound, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad
from torch.autograd.profiler import record_function

from remotemod.autograd.caller import anchor, attach_outputs, record_inputs
from remotemod.autograd.tensors import GraphMode
from remotemod.errors import GraphError
from remotemod.future import Future
from remotemod.requests import Call, Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.engine import Line
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.loader import LoadedStub, StubName
from remotemod.torch_compat.engine import dual_level, is_profiling, transforms_are_active
from remotemod.trees import map_tensors

__all__ = ["Client", "Packed"]


class Packed(NamedTuple):
    """What travels when a handle is passed to another worker: the way to the module, not the module.

    The stub comes first: whoever unpacks must know it before the reference, which may be typed by it.
    """

    text: str
    bound: dict[str, object]
    cls: Any
    ref: Any
    device: str
    timeout: float | None
    training: bool
    kind: str
    extension: Any
    recompute: bool


class Client:
    """A remote module as calls reach it.

    Args:
        cluster: where the owner is.
        ref: the module.
        device: the module's device on its owner.
        stub: what the owner runs; who only calls it may know its name alone.
        timeout: the handle's own bound in seconds; None for the cluster's.
        kind: the dotted name of the module's class.
        extension: what the engine's owner says of the reference; only the engine reads it.
        recompute: whether the owner keeps no graphs and runs calls again in backward.
    """

    __slots__ = (
        "__weakref__",
        "_digest",
        "_key",
        "_lines",
        "anchor",
        "bound",
        "cluster",
        "device",
        "extension",
        "fakes",
        "is_device_map_set",
        "kind",
        "recompute",
        "ref",
        "route",
        "stub",
        "timeout",
        "worker",
    )

    def __init__(
        self,
        cluster: Cluster,
        ref: RemoteRef[Any],
        device: str,
        stub: LoadedStub | StubName,
        timeout: float | None,
        kind: str,
        extension: Any,
        recompute: bool = False,
    ) -> None:
        self.cluster = cluster
        self.ref = ref
        self.device = device
        self.stub = stub
        self.timeout = timeout
        self.worker = ref.owner_name()
        self.kind = kind
        self.bound = cluster.timeout if timeout is None else timeout
        self.is_device_map_set = cluster.keeps_device(self.worker)
        self.route = f"({cluster.caller} -> {self.worker})"
        self._digest = stub.digest
        self._lines: dict[str, Line] = {}
        self.extension = extension
        self._key = cluster.key(ref, stub, extension)
        self.recompute = recompute
        self.fakes: Mapping[str, Callable[..., Any]] = {}  # what the user says of shapes
        self.anchor, _ = anchor()  # for graphs that must see it

    @property
    def loaded(self) -> LoadedStub:
        """The stub, for those who pass the handle on."""
        assert isinstance(self.stub, LoadedStub)
        return self.stub

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a method on the owner and waits for its result."""
        if is_profiling():
            with self._record(method):
                return self._call(method, args, kwargs)
        return self._call(method, args, kwargs)

    def _call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        line = self._lines.get(method) or self._line(method)
        if self.cluster.was_closed:
            self.cluster.check_open()
        graph_mode = self._graph_mode(args, kwargs)
        if graph_mode < GraphMode.KEEP:
            return line.call(args, kwargs, graph_mode, self.bound)
        placeholders = record_inputs((args, kwargs))
        answer = line.call(args, kwargs, graph_mode, self.bound)
        return attach_outputs(answer, placeholders, self.cluster, self.worker, self.bound)

    def submit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Starts a method on the owner."""
        if is_profiling():
            with self._record(method):
                return self._submit(method, args, kwargs)
        return self._submit(method, args, kwargs)

    def _submit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        line = self._lines.get(method) or self._line(method)
        self.cluster.check_open()
        graph_mode = self._graph_mode(args, kwargs)
        if graph_mode < GraphMode.KEEP:
            return line.submit(args, kwargs, graph_mode, self.bound)
        placeholders = record_inputs((args, kwargs))
        future = line.submit(args, kwargs, graph_mode, self.bound)
        future.convert(
            lambda answer: attach_outputs(
                answer, placeholders, self.cluster, self.worker, self.bound
            )
        )
        return future

    def _graph_mode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> GraphMode:
        """What becomes of the graph of a call that is made now."""
        if dual_level() >= 0 or transforms_are_active():
            self._refuse_transforms(args, kwargs)
        if not torch.is_grad_enabled():
            return GraphMode.NONE
        return self.cluster.graph_mode(self.recompute)

    def _refuse_transforms(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises where batches or forward-mode derivatives would be lost on the way."""
        if self.cluster.capabilities.shares_memory:
            return
        if transforms_are_active():
            raise GraphError(
                f"torch.func's transforms (grad, vmap, jacrev, …) end at the border to '{self.worker}': call the remote "
                "module outside of them, or take torch.autograd.grad"
            )

        def check(tensor: torch.Tensor) -> torch.Tensor:
            _, tangent = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
            if tangent is not None:
                raise GraphError(
                    f"forward-mode derivatives end at the border to '{self.worker}': an argument is a dual tensor "
                    "(torch.autograd.forward_ad); call the remote module outside of dual_level(), or go backwards"
                )
            return tensor

        map_tensors((args, kwargs), check)

    def _line(self, method: str) -> Line:
        call = Call(self._key, self._digest, method, (), {}, self.device, self.is_device_map_set, 0)
        line = self._lines[method] = self.cluster.line(self.worker, call)
        return line

    def _record(self, method: str) -> Any:
        """Names the call for the profiler, by the keys that torch's own RPC uses."""
        how = "rpc_async_jit" if self.stub.declaration.form == "scripted" else "rpc_async"
        return record_function(f"{how}#{method}{self.route}")

    def invoke(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Runs a function on the owner and waits for its result."""
        return self.cluster.call(self.worker, Invoke(function, args), self.bound)

    def packed(self, cls: type, training: bool) -> Packed:
        """What travels when a handle is passed to another worker.

        Args:
            cls: the handle's own class, without what was generated.
            training: the handle's mode.
        """
        return Packed(
            self.loaded.text,
            dict(self.loaded.injected),
            cls,
            self.ref,
            self.device,
            self.timeout,
            training,
            self.kind,
            self.extension,
            self.recompute,
        )

    def with_options(self, timeout: float | None, recompute: bool) -> Client:
        """The same module with another bound, and other graphs on its owner."""
        twin = Client(
            self.cluster,
            self.ref,
            self.device,
            self.stub,
            timeout,
            self.kind,
            self.extension,
            recompute,
        )
        twin.fakes = self.fakes
        return twin
