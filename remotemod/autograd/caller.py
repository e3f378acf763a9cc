"""The caller's half of a backward pass that crosses processes: remote calls as nodes of the local graph."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from remotemod.autograd.owner import ONCE, Pass, Recorded
from remotemod.autograd.tensors import (
    GraphMode,
    differentiable,
    enumerate_tensors,
    open_value,
    parts_of,
    replaced,
)
from remotemod.errors import GraphError
from remotemod.future import Future
from remotemod.requests import Invoke
from remotemod.torch_compat.engine import has_memory_of_its_own, keeps_graph, will_execute
from remotemod.trees import Enumerated

__all__ = ["anchor", "attach_outputs", "record_inputs", "submit"]

Placeholders = tuple[Tensor, ...]
"""Stand-ins for the inputs of a call: shapes without memory, which keep a place in the local graph."""


class Workers(Protocol):
    """What gradients ask of a cluster."""

    def graph_mode(self, recompute: bool) -> GraphMode:
        """What an owner does with the graph of a call that is made now."""

    def submit(self, worker: str, request: Invoke, timeout: float | None) -> Future[Any]:
        """Sends a request to a worker."""

    def differentiate(
        self,
        worker: str,
        graph: Any,
        grads: Sequence[Tensor | None],
        how: Pass,
        timeout: float | None,
    ) -> Any:
        """Runs a kept graph backwards; see :func:`remotemod.autograd.owner.differentiate`."""


def record_inputs(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], Placeholders]:
    """Marks the inputs of a call where they are in the local graph now.

    What is done to them in place between the call and its answer is none of the call's.

    Args:
        args: positional arguments.
        kwargs: keyword arguments.

    Returns:
        The arguments as they are to travel, for :func:`remotemod.autograd.owner.record`, and the placeholders.
    """
    sent, inputs = enumerate_tensors((args, kwargs), is_call=True)
    if type(sent) is Enumerated:
        args, kwargs = (sent,), {}
    return args, kwargs, _placeholders(inputs)


def _placeholders(inputs: Sequence[Tensor]) -> Placeholders:
    if not inputs:
        return ()
    placeholders: Placeholders = _RecordInputs.apply(*parts_of(inputs))  # type: ignore[no-untyped-call]
    return placeholders


def attach_outputs(
    answer: Any,
    placeholders: Placeholders,
    cluster: Workers,
    worker: str,
    timeout: float | None,
    shared: bool = False,
) -> Any:
    """The result of a recorded call, with a node that leads into the owner's graph.

    Args:
        answer: what came back; of anything but :class:`Recorded` the value is returned as it is.
        placeholders: what :func:`record_inputs` returned.
        cluster: where the graph is.
        worker: its owner.
        timeout: the timeout of a pass, in seconds.
        shared: whether the graph has parts in common with others.
    """
    if type(answer) is not Recorded:
        return answer.value if type(answer) is Enumerated else answer
    remote = _RemoteBackward(answer.graph, placeholders, cluster, worker, timeout, shared)
    with torch.enable_grad():
        value, results = open_value(answer.value)
        outputs: Any = _AttachOutputs.apply(remote, parts_of(results), anchor()[0], *placeholders)  # type: ignore[no-untyped-call]
        return replaced(value, results, outputs)


def submit(cluster: Workers, worker: str, request: Invoke, timeout: float | None) -> Future[Any]:
    """Sends a function of a user's, and makes its result a part of the graph here.

    Args:
        cluster: where the worker is.
        worker: the one that runs it.
        request: the function.
        timeout: seconds that it, and a backward pass through it, may take; None for the cluster's timeout.
    """
    stays = request.keep or not torch.is_grad_enabled()
    if stays or cluster.graph_mode(recompute=False) is GraphMode.SHARE:
        return cluster.submit(worker, request, timeout)
    args, kwargs, placeholders = record_inputs(request.args, request.kwargs)
    request = request._replace(args=args, kwargs=kwargs, graph_mode=int(GraphMode.KEEP))
    future = cluster.submit(worker, request, timeout)
    future.convert(lambda answer: attach_outputs(answer, placeholders, cluster, worker, timeout))
    return future


class _RecordInputs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(map(_placeholder, inputs))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return grads


def _placeholder(tensor: Tensor) -> Tensor:
    if tensor.layout is not torch.strided or tensor.is_nested:
        return tensor.detach()
    return tensor.new_empty(()).expand(tensor.shape)


class _AttachOutputs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        remote: _RemoteBackward,
        results: Sequence[Tensor],
        anchor: Tensor,
        *placeholders: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.remote = remote
        ctx.set_materialize_grads(False)
        return tuple(result.detach() for result in results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, None, None, *ctx.remote.run(grads)


@functools.cache
def anchor() -> tuple[Tensor, Any]:
    """What requires grad on behalf of the remote parameters, and its node.

    ``backward()`` comes to that node, and ``autograd.grad()`` for some inputs does not: so an owner knows
    whether its parameters' gradients are wanted.
    """
    anchor = torch.empty(0, requires_grad=True)
    return anchor, get_gradient_edge(anchor).node


class _RemoteBackward:
    """The backward pass through the owner's graph of one call.

    Args:
        graph: the reference to it, which keeps it alive.
        placeholders: the inputs of the call.
        cluster: where it is.
        worker: its owner.
        timeout: the timeout of a pass, in seconds.
        shared: whether the graph has parts in common with others, as that of a backward pass has with the graph it
            went through: a pass must then leave them whole, and they end with the last reference.
    """

    __slots__ = ("_cluster", "_graph", "_placeholders", "_shared", "_timeout", "_worker")

    def __init__(
        self,
        graph: Any,
        placeholders: Placeholders,
        cluster: Workers,
        worker: str,
        timeout: float | None,
        shared: bool,
    ) -> None:
        self._shared = shared
        self._graph = graph
        self._placeholders = placeholders
        self._cluster = cluster
        self._worker = worker
        self._timeout = timeout

    def run(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """The gradients of the inputs, given those of the results.

        Raises:
            GraphError: the graph has been let go.
            RemoteError: the pass failed on the owner.
            WorkerLost: the owner is gone.
        """
        graph, placeholders = self._graph, self._placeholders
        if graph is None:
            raise GraphError(ONCE)
        if not all(map(_is_plain, grads)):
            raise GraphError(
                f"a batch of gradients in one pass ends at the process boundary to '{self._worker}': leave out is_grads_batched=True "
                "or vectorize=True"
            )
        accumulate = will_execute(anchor()[1])
        inputs = any(map(will_execute, {placeholder.grad_fn for placeholder in placeholders}))
        keep = keeps_graph()
        higher = torch.is_grad_enabled()
        self._shared |= higher
        if not keep:
            self._graph, self._placeholders = None, ()
        given = list(grads)
        recorded = _placeholders(differentiable(given)) if higher else ()
        how = Pass(accumulate, inputs, keep or self._shared, higher)
        input_grads = attach_outputs(
            self._cluster.differentiate(self._worker, graph, given, how, self._timeout),
            (*recorded, *placeholders),
            self._cluster,
            self._worker,
            self._timeout,
            shared=True,
        )
        return [
            grad
            if grad is None or grad.device == placeholder.device
            else grad.to(placeholder.device)
            for grad, placeholder in zip(input_grads, placeholders, strict=True)
        ]


def _is_plain(grad: Tensor | None) -> bool:
    """Whether a gradient has memory of its own, unlike those that vmap gives; RPC engines may abort on these."""
    return grad is None or grad.layout is not torch.strided or has_memory_of_its_own(grad)
