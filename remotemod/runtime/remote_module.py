"""The handle on a module that lives on a worker; generated stubs are subclasses of it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from remotemod.errors import PlacementError, RemoteModError
from remotemod.runtime import module_functions as on_owner
from remotemod.runtime.bind import user_class, with_signatures
from remotemod.runtime.binding import Binding
from remotemod.runtime.cluster import UNSET, Cluster, find_cluster
from remotemod.runtime.future import Future
from remotemod.runtime.inproc import process_cluster
from remotemod.runtime.placement import Placement
from remotemod.runtime.recipe import recipe_for, recipe_from_description
from remotemod.runtime.ref import RemoteRef
from remotemod.runtime.requests import Build, Invoke
from remotemod.runtime.router import ROUTER
from remotemod.stubs.load import load_stub

__all__ = ["RemoteModule"]

Self = TypeVar("Self", bound="RemoteModule")

_PROCESS = uuid.uuid4().hex[:8]
_NUMBERS = itertools.count(1)


class RemoteModule(nn.Module):
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
        cluster: where the worker is; by default the current cluster.
        timeout: seconds that a call may take; None for the cluster's bound.
        name: a name for the remote module; scripted callers find it by that name.

    Raises:
        PlacementError: there is no such worker or device form.
        InterfaceError: the interface cannot be read or expressed.
        RemoteError: ``module_cls`` raised on the worker; the exception is of the remote type too.
    """

    _stub = None  # type: Any  # a comment, because TorchScript would read an annotation

    if TYPE_CHECKING:
        # Which methods there are is known when the interface is; generated stub classes say it exactly.
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
    ) -> None:
        super().__init__()
        if isinstance(module_cls, nn.Module) or not callable(module_cls):
            raise TypeError(
                "module_cls must be an nn.Module class or a function that returns a module, "
                f"built on the worker; got {type(module_cls).__name__} {module_cls!r:.60}. To move a trained "
                "module, place its class and then load_state_dict(module.state_dict())"
            )
        placement = Placement.parse(remote_device)
        cluster = _cluster_for(placement, cluster)
        worker = placement.resolve(cluster.workers)
        recipe = recipe_for(type(self), interface, module_cls, placement.device)
        loading = None if recipe is None else cluster.load(worker, recipe.stub)
        request = Build(
            module_cls,
            tuple(args or ()),
            dict(kwargs or {}),
            placement.device,
            describe=recipe is None,
            expected=None if recipe is None else recipe.expected,
        )
        ref, described = cluster.call(worker, request, timeout if timeout is not None else UNSET)
        if loading is not None:
            loading.wait()
        if recipe is None:
            recipe = recipe_from_description(type(self), described, placement.device)
            cluster.load(worker, recipe.stub).wait()
        self._attach(
            Binding(cluster, ref, placement.device, recipe.stub, timeout), recipe.cls, name
        )

    @staticmethod
    def init_from_module_rref(
        remote_device: str,
        module_rref: RemoteRef[nn.Module],
        interface: Any = None,
        *,
        cluster: Cluster | None = None,
        timeout: float | None = None,
    ) -> RemoteModule:
        """Another handle on a remote module that exists already.

        Args:
            remote_device: where the module lives, as in the constructor; it must be the reference's owner.
            module_rref: the reference (``get_module_rref()`` of another handle).
            interface: as in the constructor; by default the interface of the module's own class.
            cluster: where the worker is; by default the current cluster.
            timeout: seconds that a call may take; None for the cluster's bound.

        Raises:
            PlacementError: the device string names another worker than the reference's owner.
        """
        placement = Placement.parse(remote_device)
        found = _cluster_for(placement, cluster or module_rref._cluster)
        owner = placement.resolve(found.workers)
        if owner != module_rref.owner_name():
            raise PlacementError(
                f"remote_device {remote_device!r} names '{owner}', "
                f"but the module lives on '{module_rref.owner_name()}'"
            )
        self = RemoteModule.__new__(RemoteModule)
        nn.Module.__init__(self)
        recipe = recipe_for(RemoteModule, interface, None, placement.device)
        if recipe is None:
            described = found.call(owner, Invoke(on_owner.describe, (module_rref,)))
            recipe = recipe_from_description(RemoteModule, described, placement.device)
        binding = Binding(found, module_rref, placement.device, recipe.stub, timeout)
        found.load(owner, recipe.stub).wait()
        self._attach(binding, recipe.cls, None)
        return self

    def _attach(self, binding: Binding, cls: type, name: str | None) -> None:
        """Makes this object the handle on what ``binding`` reaches."""
        # Class annotations would reach TorchScript, so attributes are declared here.
        self.on: str = binding.worker
        self.device: str = binding.device
        self.is_device_map_set: bool = binding.cluster.capabilities.device_tensors
        self.is_scriptable: bool = binding.stub.declaration.form == "scripted"
        self.module_rref: RemoteRef[Any] = binding.ref
        self._ref: str = name or f"{self.on}/{_PROCESS}.{next(_NUMBERS)}"
        object.__setattr__(self, "_binding", binding)
        self.__class__ = cls

    def __prepare_scriptable__(self: Self) -> Self:
        """TorchScript asks for this before it compiles: from now on the operators must find the module.

        A scripted module keeps the reference string alone, so the route stays until the cluster closes.
        """
        if not self.is_scriptable:
            raise RemoteModError(
                f"this remote module on '{self.on}' cannot be scripted: it was bound without a TorchScript "
                "interface; pass interface=<a class decorated with @torch.jit.interface>"
            )
        binding: Binding = self._binding
        ROUTER.add(self._ref, binding)
        ref = self._ref
        binding.cluster.on_close(lambda: ROUTER.remove(ref))
        return self

    # --- the way to another worker ------------------------------------------------------------

    def _packed(self) -> tuple[Any, ...]:
        """What travels when the handle is passed to another worker: the way to the module, not the module."""
        stub = self._binding.stub
        return (
            user_class(type(self)),
            self.module_rref,
            self.device,
            stub.text,
            dict(stub.bound),
            self._binding.timeout,
            self.training,
        )

    @staticmethod
    def _from_packed(packed: tuple[Any, ...], cluster: Cluster) -> RemoteModule:
        """The handle on the other side; it needs neither the interface nor the generator."""
        cls, ref, device, text, bound, timeout, training = packed
        stub = load_stub(text, bound)
        self: RemoteModule = cls.__new__(cls)
        nn.Module.__init__(self)
        self._attach(
            Binding(cluster, ref, device, stub, timeout), with_signatures(cls, stub, {}), None
        )
        self.training = training
        return self

    # --- calls: what generated methods use ----------------------------------------------------

    def _remote_call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._binding.call(method, args, kwargs)

    def _remote_submit(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        future: Future[Any] = self._binding.submit(method, args, kwargs)
        return future

    def _on_owner(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._binding.invoke(function, (self.module_rref, *args))

    # --- references and parameters ------------------------------------------------------------

    def get_module_rref(self) -> RemoteRef[nn.Module]:
        """The reference to the module on its owner."""
        return self.module_rref

    def remote_parameters(self, recurse: bool = True) -> list[RemoteRef[nn.Parameter]]:
        """References to the module's parameters on its owner.

        Args:
            recurse: whether the parameters of submodules are among them.
        """
        found: list[RemoteRef[nn.Parameter]] = self._on_owner(on_owner.parameter_refs, recurse)
        return found

    def with_options(self: Self, *, timeout: float | None = None) -> Self:
        """Another handle on the same remote module with other options.

        Args:
            timeout: seconds that a call may take; None for the cluster's bound.
        """
        twin = type(self).__new__(type(self))
        nn.Module.__init__(twin)
        binding = self._binding.with_timeout(timeout)
        twin._attach(binding, type(self), None)
        return twin

    # --- what acts on the remote module -------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Puts the remote module into training (or evaluation) mode."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self._on_owner(on_owner.train, mode)
        self.training = mode
        return self

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Sets ``requires_grad`` on the remote module's parameters."""
        self._on_owner(on_owner.requires_grad_, requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of the remote module's parameters."""
        self._on_owner(on_owner.zero_grad, set_to_none)

    def state_dict(  # type: ignore[override]  # torch still takes these by position as well
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """The remote module's state; tensors travel, the module does not.

        Takes ``destination``, ``prefix`` and ``keep_vars`` as every module does, so that a parent's
        ``state_dict()`` holds the entries of its remote children.
        """
        destination, prefix, _ = _state_dict_arguments(args, kwargs)
        state = self._on_owner(on_owner.state_dict)
        for key, value in state.items():
            destination[prefix + key] = value
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Loads a state into the remote module; see ``nn.Module.load_state_dict``."""
        return self._on_owner(on_owner.load_state_dict, dict(state_dict), strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """How a parent's ``load_state_dict`` reaches its remote children."""
        mine = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        try:
            keys = self._on_owner(on_owner.load_state_dict, mine, False, assign)
        except RuntimeError as error:
            error_msgs.append(str(error))
            return
        missing_keys += [prefix + key for key in keys.missing_keys]
        # The parent sees this module as one without children, and names nothing below it itself.
        unexpected_keys += [prefix + key for key in keys.unexpected_keys if strict]

    # --- what a remote module has not ---------------------------------------------------------

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Not here: the parameters live on the owner."""
        raise ValueError(
            "Method ``parameters`` not supported for RemoteModule. "
            "Please use ``remote_parameters`` instead."
        )

    def __getstate__(self) -> Any:
        raise RuntimeError(
            "Cannot pickle RemoteModule in python pickler. RemoteModule can only be pickled when using RPC"
        )

    def extra_repr(self) -> str:
        """Where the module lives."""
        return f"on='{self.on}', device='{self.device}', {self.module_rref.type_name()}"


def _state_dict_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], str, bool]:
    names = ("destination", "prefix", "keep_vars")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    destination = given.get("destination")
    return (
        {} if destination is None else destination,
        given.get("prefix", ""),
        given.get("keep_vars", False),
    )


def _cluster_for(placement: Placement, cluster: Cluster | None) -> Cluster:
    return process_cluster() if placement.is_local else find_cluster(cluster)
