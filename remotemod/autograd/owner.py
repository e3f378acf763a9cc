"""The owner's half of a backward pass that crosses a border: graphs that are kept, and run from their outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.autograd.graph import GradientEdge, get_gradient_edge

from remotemod.autograd.recompute import run_again_in_backward
from remotemod.autograd.tensors import GraphMode, differentiable, replaced
from remotemod.errors import GraphError

__all__ = ["Graph", "Pass", "Recorded", "differentiate", "differentiate_kept", "record"]


class Recorded(NamedTuple):
    """A result with the way back to what it was computed from.

    Attributes:
        value: the result; in it require grad the tensors that gradients can be given for.
        graph: on the owner the :class:`Graph`; on its way and for the caller a reference to it.
    """

    value: Any
    graph: Any


class Pass(NamedTuple):
    """What a backward pass is to do.

    Attributes:
        accumulate: whether the parameters on the way get their gradients.
        inputs: whether the gradients of the inputs are wanted.
        keep: whether the graph stays for another time.
        higher: whether the pass is recorded itself.
    """

    accumulate: bool
    inputs: bool
    keep: bool
    higher: bool


class _Arrival:
    """The inputs of a recorded call: what the owner computes from, and where their gradients come out."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        # The node knows this list alone, and not the arrival, which knows the node.
        self._caught: list[Sequence[Tensor | None]] = []
        start = torch.empty(0, requires_grad=True)
        arrived = _Arrive.apply(tensors, self._caught, start)  # type: ignore[no-untyped-call]
        self.tensors: tuple[Tensor, ...] = arrived[1:]
        # An edge alone does not keep a node that is written in Python: its empty output does.
        self._node = arrived[0]
        self.edges = [GradientEdge(self._node.grad_fn, t.output_nr) for t in self.tensors]

    def taken(self) -> Sequence[Tensor | None]:
        """The gradients that have come out since they were last asked for."""
        return self._caught.pop() if self._caught else [None] * len(self.edges)


class _Arrive(torch.autograd.Function):
    """Hands a call its inputs, and catches their gradients."""

    @staticmethod
    def forward(ctx: Any, tensors: Sequence[Tensor], caught: list[Any], start: Tensor) -> Any:
        ctx.caught = caught
        ctx.set_materialize_grads(False)
        # Detached, and so neither leaves nor views: modules may change them in place.
        return start.new_empty(0), *(tensor.detach() for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, _: None, *grads: Tensor | None) -> tuple[None, None, None]:
        ctx.caught.append(grads)
        return None, None, None


class Graph:
    """What an owner keeps of a recorded call until its caller has been backwards through it.

    Args:
        outputs: where gradients go in.
        devices: where each output is: its gradient comes from a caller who has it elsewhere, on the CPU mostly.
        arrivals: where those of the call's inputs come out, in the order the caller knows.
        lock: held while it is run; graphs that share an arrival share it.
    """

    def __init__(
        self,
        outputs: Sequence[Tensor | GradientEdge],
        devices: Sequence[torch.device],
        arrivals: tuple[_Arrival, ...],
        lock: threading.RLock | None = None,
    ) -> None:
        self._outputs: Sequence[Tensor | GradientEdge] | None = outputs
        self._devices = devices
        self._arrivals = arrivals
        self._lock = lock or threading.RLock()

    @property
    def is_of_leaves(self) -> bool:
        """Whether nothing was computed: every result is a parameter or the like."""
        return all(
            type(end) is GradientEdge and hasattr(end.node, "variable")
            for end in self._outputs or ()
        )

    def run(self, grads: Sequence[Tensor | None], how: Pass) -> list[Tensor | None]:
        """Runs the graph backwards.

        Args:
            grads: the gradient of each output; None where there is none.
            how: what the pass is to do.

        Returns:
            The gradients of the inputs; None where there is none.

        Raises:
            GraphError: an earlier pass has not kept the graph.
        """
        _, _, keep, higher = how
        with self._lock:
            if self._outputs is None:
                raise GraphError(ONCE)
            pairs = [
                (edge, grad if grad.device == device else grad.to(device))
                for edge, device, grad in zip(self._outputs, self._devices, grads, strict=True)
                if grad is not None
            ]
            edges: Sequence[Any] = [edge for edge, _ in pairs]
            given: Sequence[Any] = [grad for _, grad in pairs]
            try:
                if how.accumulate:
                    torch.autograd.backward(edges, given, keep, higher)
                    found = [grad for arrival in self._arrivals for grad in arrival.taken()]
                elif how.inputs:
                    into: Sequence[Any] = [e for arrival in self._arrivals for e in arrival.edges]
                    found = list(
                        torch.autograd.grad(edges, into, given, keep, higher, allow_unused=True)
                    )
                else:
                    found = [None for arrival in self._arrivals for _ in arrival.edges]
            finally:
                if not keep:
                    self._outputs = None
        return found

    def continued(self, graph: Graph) -> Graph:
        """The graph of this one's own backward pass, which leads to this one's inputs as well."""
        assert graph._outputs is not None
        arrivals = (*graph._arrivals, *self._arrivals)
        return Graph(graph._outputs, graph._devices, arrivals, self._lock)


ONCE = (
    "backward() has been through this remote call before, and its owner has let the graph go; "
    "pass retain_graph=True to the first backward()"
)


def record(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    how: int,
    module: Any = None,
) -> Any:
    """Runs a function with gradients recorded.

    Args:
        function: what to run.
        args: its positional arguments; the tensors in them that require grad are its inputs.
        kwargs: its keyword arguments.
        how: :class:`GraphMode` ``KEPT`` or ``AGAIN``.
        module: whose buffers the function changes, if it is run again.

    Returns:
        A :class:`Recorded`; the plain result where nothing in it requires grad.
    """
    given = differentiable((args, kwargs))
    arrivals: tuple[_Arrival, ...] = ()
    with torch.enable_grad():
        if given:
            arrivals = (_Arrival(given),)
            args, kwargs = replaced((args, kwargs), arrivals[0].tensors)
            arrivals[0].tensors = ()
        if how == GraphMode.RECOMPUTE:
            value = run_again_in_backward(function, args, kwargs, module)
        else:
            value = function(*args, **kwargs)
        results = differentiable(value)
        if not results:
            return value
        devices = [result.device for result in results]
        return Recorded(value, Graph(list(map(_end, results)), devices, arrivals))


def _end(result: Tensor) -> Tensor | GradientEdge:
    """Where a result's gradient goes in: an edge, because its own memory is not needed for the way back."""
    node = result.grad_fn
    if node is not None and not isinstance(node, FunctionCtx):
        return GradientEdge(node, result.output_nr)
    # A leaf, or a node that is written in Python, which an edge alone does not keep.
    return get_gradient_edge(result) if result.layout is torch.strided else result


def differentiate_kept(ref: Any, grads: Sequence[Tensor | None], how: Sequence[bool]) -> Any:
    """On the owner: runs the graph behind a reference backwards; ``how`` holds the fields of a :class:`Pass`."""
    return differentiate(ref.local_value(), grads, Pass(*how))


def differentiate(graph: Graph, grads: Sequence[Tensor | None], how: Pass) -> Any:
    """On the owner: runs a kept graph backwards.

    Args:
        graph: the graph.
        grads: the gradient of each output; None where there is none.
        how: what the pass is to do.

    Returns:
        The gradients of the inputs (None where there is none), :class:`Recorded` if the pass is recorded. The
        inputs of a recorded pass are those gradients of ``grads`` that require grad, then the inputs of the graph.
    """
    if not how.higher:
        return graph.run(grads, how)
    found = record(lambda given: graph.run(given, how), (grads,), {}, GraphMode.KEEP)
    if type(found) is Recorded:
        return found._replace(graph=graph.continued(found.graph))
    return found
