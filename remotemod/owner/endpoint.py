"""What calls on an owner have in common, found once: the module, the generated function, how it is run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from remotemod.autograd.owner import Graph, Pass, record
from remotemod.autograd.tensors import GraphMode

__all__ = ["GRAPHS", "Endpoint", "GraphEndpoint", "LocalModule"]

GRAPHS = 0
"""What stands for a module's reference on the way to all kept graphs."""


class Keeper(Protocol):
    """What a route asks its owner for."""

    def local(self, ref: Any) -> Any:
        """A kept module as generated code takes it."""

    def value(self, ref: Any) -> Any:
        """A kept value."""


class LocalModule:
    """What a generated ``_remote_<method>`` gets as ``module_rref`` on the owner, and as its module.

    The generated code says ``module.forward(…)``, which TorchScript takes. Here that is the module itself:
    calling it runs the hooks that were registered on it, as a local call would.
    """

    __slots__ = ("forward",)

    def __init__(self, module: nn.Module) -> None:
        self.forward = module

    def local_value(self) -> LocalModule:
        """The module, to generated code."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.forward, name)


class Endpoint:
    """One method of one kept module, found once for all the calls that will come.

    It holds the reference's key and not the module: a route keeps nothing alive.
    """

    __slots__ = ("_device", "_function", "_is_device_map_set", "_owner", "ref")

    def __init__(
        self, owner: Keeper, ref: Any, function: Any, device: str, is_device_map_set: bool
    ) -> None:
        self.ref = ref
        self._owner = owner
        self._function = function
        self._device = device
        self._is_device_map_set = is_device_map_set

    def module(self) -> Any:
        """The module, for :meth:`run`: who has it can call it, even if it is released meanwhile."""
        return self._owner.local(self.ref)

    def run(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int
    ) -> Any:
        """Runs the method; returns :class:`Recorded` where its caller can go back through it."""
        if graph_mode >= GraphMode.KEEP:
            run = functools.partial(self._function, module, self._device, self._is_device_map_set)
            return record(run, args, kwargs, graph_mode, module.forward)
        if torch.is_grad_enabled() is bool(graph_mode):
            return self._function(module, self._device, self._is_device_map_set, *args, **kwargs)
        with torch.set_grad_enabled(bool(graph_mode)):
            return self._function(module, self._device, self._is_device_map_set, *args, **kwargs)


class GraphEndpoint(Endpoint):
    """The way to all graphs that an owner keeps for a peer: a call says which one, and what the pass is to do.

    A pass that need not keep its graph takes the reference with it, so that nobody has to release it.
    """

    __slots__ = ("_release",)

    def __init__(self, owner: Keeper, release: Callable[[list[int]], None]) -> None:
        super().__init__(owner, GRAPHS, None, "cpu", False)
        self._release = release

    def module(self) -> Any:
        """Nothing: which graph, the arguments say."""

    def run(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int
    ) -> Any:
        """Runs a graph backwards; see :func:`remotemod.autograd.owner.differentiate`."""
        ref, accumulate, inputs, keep, *grads = args
        graph: Graph = self._owner.value(ref)
        try:
            return graph.run(grads, Pass(accumulate, inputs, keep, higher=False))
        finally:
            if not keep:
                self._release([ref])
