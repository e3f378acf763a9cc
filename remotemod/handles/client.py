"""The client of a handle: how its calls reach the module, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.autograd.profiler import record_function

from remotemod.autograd.caller import anchor, attach_outputs, record_inputs
from remotemod.autograd.tensors import GraphMode
from remotemod.errors import GraphError
from remotemod.future import Future
from remotemod.handles.spec import HandleSpec
from remotemod.requests import Call, Invoke
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.engine import PreparedCall
from remotemod.stub.loader import LoadedStub, StubName
from remotemod.timeouts import resolve_timeout
from remotemod.torch_compat.engine import dual_level, is_profiling, transforms_are_active
from remotemod.trees import tensors_of

__all__ = ["Client"]


class Client:
    """The connection of a handle to its module.

    Args:
        cluster: the owner's cluster.
        spec: the module, and how it is called.

    Attributes:
        worker: the owner's name.
        timeout: seconds that a call may take; None for no limit.
        is_device_map_set: whether results may stay on the owner's accelerator.
        label: caller and owner, as profiles show them.
        fakes: the user's rules for the shapes that methods return.
        anchor: the tensor that requires grad for the remote parameters.
    """

    __slots__ = (
        "__weakref__",
        "_digest",
        "_key",
        "_prepared",
        "anchor",
        "cluster",
        "fakes",
        "is_device_map_set",
        "label",
        "spec",
        "timeout",
        "worker",
    )

    def __init__(self, cluster: Cluster, spec: HandleSpec) -> None:
        self.cluster = cluster
        self.spec = spec
        self.worker: str = spec.ref.owner_name()
        self.timeout = resolve_timeout(spec.timeout, cluster.timeout)
        self.is_device_map_set = cluster.engine.keeps_device(self.worker)
        self.label = f"({cluster.caller} -> {self.worker})"
        self._digest = spec.stub.digest
        self._prepared: dict[str, PreparedCall] = {}
        self._key = cluster.engine.key(spec.ref, spec.stub, spec.extension)
        self.fakes: Mapping[str, Callable[..., Any]] = {}
        self.anchor, _ = anchor()

    @property
    def ref(self) -> Any:
        """The reference to the module."""
        return self.spec.ref

    @property
    def device(self) -> str:
        """The module's device on its owner."""
        return self.spec.device

    @property
    def stub(self) -> LoadedStub | StubName:
        """The stub that the owner runs."""
        return self.spec.stub

    @property
    def kind(self) -> str:
        """The dotted name of the module's class."""
        return self.spec.kind

    @property
    def loaded(self) -> LoadedStub:
        """The stub with its text, which is sent along with the handle."""
        assert isinstance(self.spec.stub, LoadedStub)
        return self.spec.stub

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a method on the owner and wait for its result."""
        if is_profiling():
            with self._record(method):
                return self._call(method, args, kwargs)
        return self._call(method, args, kwargs)

    def _call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        prepared = self._prepared.get(method) or self._prepare(method)
        if self.cluster.was_closed:
            self.cluster.check_open()
        graph_mode = self._graph_mode(args, kwargs)
        if graph_mode < GraphMode.KEEP:
            return prepared.call(args, kwargs, graph_mode, self.timeout)
        args, kwargs, placeholders = record_inputs(args, kwargs)
        result = prepared.call(args, kwargs, graph_mode, self.timeout)
        return attach_outputs(result, placeholders, self.cluster, self.worker, self.timeout)

    def submit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Start a method on the owner."""
        if is_profiling():
            with self._record(method):
                return self._submit(method, args, kwargs)
        return self._submit(method, args, kwargs)

    def _submit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        prepared = self._prepared.get(method) or self._prepare(method)
        self.cluster.check_open()
        graph_mode = self._graph_mode(args, kwargs)
        if graph_mode < GraphMode.KEEP:
            return prepared.submit(args, kwargs, graph_mode, self.timeout)
        args, kwargs, placeholders = record_inputs(args, kwargs)
        future = prepared.submit(args, kwargs, graph_mode, self.timeout)
        future.convert(
            lambda result: attach_outputs(
                result, placeholders, self.cluster, self.worker, self.timeout
            )
        )
        return future

    def _graph_mode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> GraphMode:
        """The graph mode of a call that is made now."""
        if dual_level() >= 0 or transforms_are_active():
            self._refuse_transforms(args, kwargs)
        if not torch.is_grad_enabled():
            return GraphMode.NONE
        return self.cluster.engine.graph_mode(self.spec.recompute)

    def _refuse_transforms(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise where batches or forward-mode derivatives would be lost between processes."""
        if self.cluster.capabilities.shares_memory:
            return
        if transforms_are_active():
            raise GraphError(
                f"torch.func's transforms (grad, vmap, jacrev, …) end at the process boundary to '{self.worker}': call the remote "
                "module outside of them, or take torch.autograd.grad"
            )

        for tensor in tensors_of((args, kwargs)):
            _, tangent = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
            if tangent is not None:
                raise GraphError(
                    f"forward-mode derivatives end at the process boundary to '{self.worker}': an argument is a dual "
                    "tensor (torch.autograd.forward_ad); call the remote module outside of dual_level(), or go backwards"
                )

    def _prepare(self, method: str) -> PreparedCall:
        device = self.spec.device
        call = Call(self._key, self._digest, method, (), {}, device, self.is_device_map_set, 0)
        prepared = self._prepared[method] = self.cluster.prepare(self.worker, call)
        return prepared

    def _record(self, method: str) -> Any:
        """Name the call for the profiler, by the keys that torch's own RPC uses."""
        kind = "rpc_async_jit" if self.stub.declaration.form == "scripted" else "rpc_async"
        return record_function(f"{kind}#{method}{self.label}")

    def invoke(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Run a function on the owner and wait for its result."""
        return self.cluster.call(self.worker, Invoke(function, args), self.timeout)

    def with_options(self, timeout: float | None, recompute: bool | None) -> Client:
        """Another client of the same module, with other options.

        Args:
            timeout: seconds; None for the cluster's timeout.
            recompute: as in the handle's constructor; None leaves it as it is.
        """
        recompute = self.spec.recompute if recompute is None else recompute
        client = Client(self.cluster, self.spec._replace(timeout=timeout, recompute=recompute))
        client.fakes = self.fakes
        return client
