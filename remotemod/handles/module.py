"""The handle on a module that lives on a worker; generated stubs are subclasses of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn
from torch.compiler import is_compiling

from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.handles.attach import attach, build_for
from remotemod.handles.client import Client
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.state import RemoteState
from remotemod.handles.stub_class import stub_class_for
from remotemod.handles.tracing.fakes import Fake, fakes_of
from remotemod.handles.tracing.symbolic import symbolic_call
from remotemod.owner import module_functions as on_owner
from remotemod.owner.inproc import process_cluster
from remotemod.requests import Build
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import find_cluster
from remotemod.rpc.placement import Placement, check_device, check_owner
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.operators import compile_whole
from remotemod.torch_compat.tracing import is_symbolic

__all__ = ["RemoteModule"]

Self = TypeVar("Self", bound="RemoteModule")


class RemoteModule(RemoteState):
    """A module that runs on another worker; a drop-in for ``torch.distributed.nn.RemoteModule``.

    ``forward`` and ``forward_async``, and ``m`` and ``m_async`` for each further method of the interface,
    are generated: ``inspect.signature`` shows the interface's own parameters.

    Args:
        remote_device: ``"worker/device"``, ``"worker"`` (on its CPU), ``"rank:N/device"``, or a device alone
            for a module in this process.
        module_cls: builds the module on the worker: an ``nn.Module`` class, or any function that returns a
            module.
        args: positional arguments for ``module_cls``.
        kwargs: keyword arguments for ``module_cls``.
        interface: what can be called: a ``@torch.jit.interface`` class (the remote module can then be
            scripted), a ``typing.Protocol``, or an ``nn.Module`` class. By default ``module_cls`` itself.
        cluster: the worker's cluster; by default the current one.
        timeout: seconds that a call may take; None for the cluster's timeout, ``math.inf`` for none.
        name: a name for the remote module; scripted callers find it by that name.
        fake: for ``torch.compile`` and ``torch.export``, where the module itself cannot be run without data: a
            function with the parameters of ``forward`` (or a dict of such functions by method) that returns
            what the method would, made of empty tensors of the right shapes (``x.new_empty(…)``).
        recompute: keep no graph on the owner between forward and backward, only the arguments: the owner
            runs the call again in backward, with the same random numbers (less memory for more computing).
        _module_interface_cls: the name of ``interface`` in torch's ``_RemoteModule``.

    Raises:
        PlacementError: there is no such worker or device form.
        InterfaceError: the interface cannot be read or expressed.
        RemoteError: ``module_cls`` raised on the worker; the exception is of the remote type too.
    """

    # A scripted handle keeps its client, so that it can be sent, but not in its compiled half: a
    # reference cannot be saved.
    __jit_ignored_attributes__ = ["_client", "module_rref"]  # noqa: RUF012 - TorchScript's own name
    __slots__ = ("_client", "_is_portable")
    _operator_class = None  # type: Any  # the class that calls by operators, of one that an engine derived from it

    if TYPE_CHECKING:
        # At runtime TorchScript would read annotations of the class.
        on: str
        device: str
        is_device_map_set: bool
        is_scriptable: bool
        module_rref: Any
        _ref: str

        # The methods depend on the interface; generated stub classes declare them exactly.
        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        remote_device: str,
        module_cls: Callable[..., nn.Module],
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        interface: Any = None,
        *,
        cluster: Cluster | None = None,
        timeout: float | None = None,
        name: str | None = None,
        recompute: bool = False,
        fake: Fake | None = None,
        _module_interface_cls: Any = None,
    ) -> None:
        super().__init__()
        interface = interface if interface is not None else _module_interface_cls
        if isinstance(module_cls, nn.Module) or not callable(module_cls):
            raise TypeError(
                "module_cls must be an nn.Module class or a function that returns a module, "
                f"built on the worker; got {type(module_cls).__name__} {module_cls!r:.60}. To move a trained "
                "module, place its class and then load_state_dict(module.state_dict())"
            )
        placement = Placement.parse(remote_device)
        cluster = _cluster_for(placement, cluster)
        worker = placement.resolve(cluster.workers)
        stub_class = stub_class_for(type(self), interface, module_cls, placement.device)
        request = Build(
            module_cls,
            tuple(args or ()),
            dict(kwargs or {}),
            placement.device,
            expected=None if stub_class is None else stub_class.expected,
        )
        build_for(
            self,
            cluster,
            worker,
            request,
            stub_class,
            placement.device,
            timeout=timeout,
            name=name,
            recompute=recompute,
        )
        self._client.fakes = fakes_of(fake, self._client.stub.declaration)

    @staticmethod
    def init_from_module_rref(
        remote_device: str,
        module_rref: RemoteRef[nn.Module],
        interface: Any = None,
        *,
        cluster: Cluster | None = None,
        timeout: float | None = None,
        _module_interface_cls: Any = None,
    ) -> RemoteModule:
        """Another handle on an existing remote module.

        Args:
            remote_device: where the module lives, as in the constructor; it must be the reference's owner.
            module_rref: the reference (``get_module_rref()`` of another handle).
            interface: as in the constructor; by default the interface of the module's own class.
            cluster: where the worker is; by default the current cluster.
            timeout: seconds that a call may take; None for the cluster's timeout, ``math.inf`` for none.

        Raises:
            PlacementError: the device string says another worker or device than the module's. A worker
                alone, without a device, may be another one: it then means the caller's own worker, as
                in torch, and a warning names the module's real owner.
        """
        interface = interface if interface is not None else _module_interface_cls
        placement = Placement.parse(remote_device)
        cluster = _cluster_for(placement, cluster or getattr(module_rref, "cluster", None))
        owner = module_rref.owner_name()
        check_owner(remote_device, placement.resolve(cluster.workers), owner)
        self = RemoteModule.__new__(RemoteModule)
        nn.Module.__init__(self)
        stub_class = stub_class_for(RemoteModule, interface, None, placement.device)
        request = Build(on_owner.existing, (module_rref,), {}, None)
        built = build_for(
            self, cluster, owner, request, stub_class, placement.device, timeout=timeout
        )
        check_device(remote_device, placement, built.device)
        return self

    def __prepare_scriptable__(self: Self) -> Self:
        """Prepare for TorchScript, which calls this before it compiles: operators must find the module.

        A scripted module keeps the reference string alone, so the client stays until the cluster closes.
        """
        if not self.is_scriptable:
            raise RemoteModError(
                f"this remote module on '{self.on}' cannot be scripted: it was built without a TorchScript "
                "interface; pass interface=<a class decorated with @torch.jit.interface>"
            )
        DIRECTORY.announce(self._ref, self._client)
        if not getattr(
            self, "_is_portable", False
        ):  # portable ones are for a file, without any engine
            self._client.cluster.engine.prepare_script(self)
        compile_whole(self)
        return self

    # --- calls of generated methods -----------------------------------------------------------

    def _call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        if is_compiling():
            from remotemod.handles.tracing import traced

            return traced.call(self._ref, method, self._client.anchor, args, kwargs)
        if is_symbolic():
            node = symbolic_call(self, method, args, kwargs)
            if node is not None:
                return node
        return self._client.call(method, args, kwargs)

    def _submit(self, method: str, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if is_compiling():
            from remotemod.handles.tracing import traced

            pending: Future[Any] = traced.submit(
                self._ref, method, self._client.anchor, args, kwargs
            )
            return pending
        if is_symbolic():
            node: Any = symbolic_call(self, f"{method}_async", args, kwargs)
            if node is not None:
                return node  # type: ignore[no-any-return]
        future: Future[Any] = self._client.submit(method, args, kwargs)
        return future

    # --- references and parameters ------------------------------------------------------------

    def get_module_rref(self) -> RemoteRef[nn.Module]:
        """The reference to the module on its owner."""
        ref: RemoteRef[nn.Module] = self.module_rref
        return ref

    def remote_parameters(self, recurse: bool = True) -> list[RemoteRef[nn.Parameter]]:
        """References to the module's parameters on its owner.

        Args:
            recurse: whether the parameters of submodules are among them.
        """
        refs: list[RemoteRef[nn.Parameter]] = self._on_owner(on_owner.parameter_refs, recurse)
        return refs

    def with_options(
        self: Self, *, timeout: float | None = None, recompute: bool | None = None
    ) -> Self:
        """Another handle on the same remote module with other options.

        Args:
            timeout: seconds that a call may take; None for the cluster's timeout, ``math.inf`` for none.
            recompute: as in the constructor; None leaves it as it is.
        """
        handle = type(self).__new__(type(self))
        nn.Module.__init__(handle)
        client: Client = self._client
        attach(handle, client.with_options(timeout, recompute), type(self))
        handle.training = self.training
        return handle

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._client.cluster.engine.reduce(self)

    def extra_repr(self) -> str:
        """The module's owner, device and class."""
        return f"on='{self.on}', device='{self.device}', {self._client.kind}"


def _cluster_for(placement: Placement, cluster: Cluster | None) -> Cluster:
    return process_cluster() if placement.is_local else find_cluster(cluster)
