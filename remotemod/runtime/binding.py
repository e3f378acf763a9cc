"""How one handle reaches its module: worker, reference, stub and bound, worked out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from remotemod.runtime.border import guard_gradients
from remotemod.runtime.cluster import Cluster
from remotemod.runtime.future import Future
from remotemod.runtime.ref import RemoteRef
from remotemod.runtime.requests import Call, Invoke
from remotemod.stubs.load import LoadedStub

__all__ = ["Binding"]


class Binding:
    """A remote module as calls reach it.

    Args:
        cluster: where the owner is.
        ref: the module.
        device: the module's device on its owner.
        stub: what the owner runs.
        timeout: the handle's own bound in seconds; None for the cluster's.
    """

    __slots__ = (
        "_bound",
        "_digest",
        "_guard",
        "_id",
        "cluster",
        "device",
        "ref",
        "stub",
        "timeout",
        "worker",
    )

    def __init__(
        self,
        cluster: Cluster,
        ref: RemoteRef[Any],
        device: str,
        stub: LoadedStub,
        timeout: float | None,
    ) -> None:
        self.cluster = cluster
        self.ref = ref
        self.device = device
        self.stub = stub
        self.timeout = timeout
        self.worker = ref.owner_name()
        self._bound = cluster.timeout if timeout is None else timeout
        self._digest = stub.digest
        self._id = ref._id
        # Values that are handed over as they are bring their graph along.
        self._guard = not cluster.capabilities.shares_memory

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a method on the owner and waits for its result."""
        grad = torch.is_grad_enabled()
        request = Call(self._id, self._digest, method, args, kwargs, self.device, grad)
        result = self.cluster.call_stub(self.worker, request, self._bound)
        return guard_gradients(result) if grad and self._guard else result

    def submit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Starts a method on the owner."""
        grad = torch.is_grad_enabled()
        request = Call(self._id, self._digest, method, args, kwargs, self.device, grad)
        future = self.cluster.submit(self.worker, request, self._bound)
        if grad and self._guard:
            future.convert(guard_gradients)
        return future

    def invoke(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Runs a function on the owner and waits for its result."""
        return self.cluster.call(self.worker, Invoke(function, args), self._bound)

    def with_timeout(self, timeout: float | None) -> Binding:
        """The same module with another bound."""
        return Binding(self.cluster, self.ref, self.device, self.stub, timeout)
