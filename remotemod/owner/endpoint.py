"""Endpoints: all that the calls of one method of a kept module have in common, found once."""

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
"""The reference of the endpoint of all kept graphs, in the place of a module's."""


class Keeper(Protocol):
    """The owner, to an endpoint."""

    def local(self, ref: Any) -> Any:
        """A kept module as generated code takes it."""

    def value(self, ref: Any) -> Any:
        """A kept value."""


class LocalModule:
    """The ``module_rref`` of a generated ``_remote_<method>`` on the owner, and its module.

    The generated code says ``module.forward(…)``, which TorchScript takes. That is the module itself:
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

    It holds the reference's key and not the module: an endpoint keeps nothing alive.
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
        """The module, for :meth:`run`: it can be called even if it is released meanwhile."""
        return self._owner.local(self.ref)

    def run(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int
    ) -> Any:
        """Run the method; return :class:`Recorded` where its graph is kept."""
        if graph_mode >= GraphMode.KEEP:
            run = functools.partial(self._function, module, self._device, self._is_device_map_set)
            return record(run, args, kwargs, graph_mode, module.forward)
        if torch.is_grad_enabled() is bool(graph_mode):
            return self._function(module, self._device, self._is_device_map_set, *args, **kwargs)
        with torch.set_grad_enabled(bool(graph_mode)):
            return self._function(module, self._device, self._is_device_map_set, *args, **kwargs)


class GraphEndpoint(Endpoint):
    """The endpoint of all graphs that an owner keeps for a session: a call names the graph, and has the fields of the pass.

    A pass that need not keep its graph releases the reference too.
    """

    __slots__ = ("_release",)

    def __init__(self, owner: Keeper, release: Callable[[list[int]], None]) -> None:
        super().__init__(owner, GRAPHS, None, "cpu", False)
        self._release = release

    def module(self) -> Any:
        """None: the arguments name the graph."""

    def run(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int
    ) -> Any:
        """Run a graph backwards; see :func:`remotemod.autograd.owner.differentiate`."""
        ref, accumulate, inputs, keep, *grads = args
        graph: Graph = self._owner.value(ref)
        try:
            return graph.run(grads, Pass(accumulate, inputs, keep, higher=False))
        finally:
            if not keep:
                self._release([ref])
