"""The owner's half of a backward pass that crosses processes: graphs that are kept, and run from their outputs."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.autograd.graph import GradientEdge, get_gradient_edge

from remotemod.autograd.recompute import run_again_in_backward
from remotemod.autograd.tensors import (
    GraphMode,
    enumerate_tensors,
    open_value,
    parts_of,
    replaced,
    scripted_parameters,
)
from remotemod.errors import GraphError
from remotemod.trees import Enumerated, Walk

__all__ = ["Graph", "Pass", "Recorded", "differentiate", "differentiate_kept", "record"]


class Recorded(NamedTuple):
    """A result with the graph that it was computed by.

    Attributes:
        value: the result; in it require grad the tensors that gradients can be given for.
        graph: on the owner the :class:`Graph`; on its way and for the caller a reference to it.
    """

    value: Any
    graph: Any


class Pass(NamedTuple):
    """What a backward pass is to do.

    Attributes:
        accumulate: whether the owner's parameters get their gradients.
        inputs: whether the gradients of the inputs are wanted.
        keep: whether the graph stays for another time.
        higher: whether the pass is recorded itself.
    """

    accumulate: bool
    inputs: bool
    keep: bool
    higher: bool


class _Inputs:
    """The inputs of a recorded call: what the owner computes from, and where their gradients come out.

    Parameters that have travelled stay the leaves that they are, so that optimizers take them.

    Args:
        tensors: the inputs.
        leaves: which of them are such parameters, by ``id``.
    """

    def __init__(self, tensors: Sequence[Tensor], leaves: Set[int]) -> None:
        # The node knows this list alone, and not the inputs, which know the node.
        self._caught: list[Sequence[Tensor | None]] = []
        self.leaves = {at: t for at, t in enumerate(tensors) if id(t) in leaves} if leaves else {}
        start = torch.empty(0, requires_grad=True)
        arrived = _Arrive.apply(tensors, self._caught, start)  # type: ignore[no-untyped-call]
        # An edge alone does not keep a node that is written in Python: its empty output does.
        self._node = arrived[0]
        self.edges = [GradientEdge(self._node.grad_fn, t.output_nr) for t in arrived[1:]]
        self.tensors: list[Tensor] = list(arrived[1:])
        for at, leaf in self.leaves.items():
            self.tensors[at], self.edges[at] = leaf, get_gradient_edge(leaf)

    def taken(self) -> Sequence[Tensor | None]:
        """The gradients that have come out in the last pass."""
        caught = self._caught.pop() if self._caught else [None] * len(self.edges)
        if not self.leaves:
            return caught
        return [self.leaves[at].grad if at in self.leaves else g for at, g in enumerate(caught)]


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
    """What an owner keeps of a recorded call until the caller has run its backward pass.

    Args:
        outputs: where gradients go in.
        devices: where each output is: the caller has its gradient elsewhere, mostly on the CPU.
        inputs: where those of the call's inputs come out, in the order the caller knows.
        lock: held while it is run; graphs that share inputs share it.
    """

    def __init__(
        self,
        outputs: Sequence[Tensor | GradientEdge],
        devices: Sequence[torch.device],
        inputs: tuple[_Inputs, ...],
        lock: threading.RLock | None = None,
    ) -> None:
        self._outputs: Sequence[Tensor | GradientEdge] | None = outputs
        self._devices = devices
        self._inputs = inputs
        self._lock = lock or threading.RLock()

    @property
    def is_of_leaves(self) -> bool:
        """Whether nothing was computed: every result is a parameter or the like of the owner's."""
        return all(map(self._is_own_leaf, self._outputs or ()))

    def _is_own_leaf(self, output: Tensor | GradientEdge) -> bool:
        if not isinstance(output, GradientEdge) or not hasattr(output.node, "variable"):
            return False
        given = (leaf for inputs in self._inputs for leaf in inputs.leaves.values())
        return all(leaf is not output.node.variable for leaf in given)

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
                    with _without_gradients([t for i in self._inputs for t in i.leaves.values()]):
                        torch.autograd.backward(edges, given, keep, higher)
                        found = [grad for inputs in self._inputs for grad in inputs.taken()]
                elif how.inputs:
                    into: Sequence[Any] = [e for inputs in self._inputs for e in inputs.edges]
                    found = list(
                        torch.autograd.grad(edges, into, given, keep, higher, allow_unused=True)
                    )
                else:
                    found = [None for inputs in self._inputs for _ in inputs.edges]
            finally:
                if not keep:
                    self._outputs = None
        return found

    def continued(self, graph: Graph) -> Graph:
        """The graph of this one's own backward pass, which leads to this one's inputs as well."""
        assert graph._outputs is not None
        inputs = (*graph._inputs, *self._inputs)
        return Graph(graph._outputs, graph._devices, inputs, self._lock)


def _without_gradients(leaves: Sequence[Tensor]) -> contextlib.AbstractContextManager[None]:
    """Within, leaves have the gradients of one pass alone; what they had comes back afterwards."""
    return _set_aside(leaves) if leaves else _NOTHING


_NOTHING = contextlib.nullcontext()


@contextlib.contextmanager
def _set_aside(leaves: Sequence[Tensor]) -> Iterator[None]:
    before = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    try:
        yield
    finally:
        for leaf, grad in zip(leaves, before, strict=True):
            leaf.grad = grad


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
        args: its positional arguments, as :func:`remotemod.autograd.caller.record_inputs` has made them; the tensors
            in them that require grad are its inputs.
        kwargs: its keyword arguments.
        how: :class:`GraphMode` ``KEEP`` or ``RECOMPUTE``.
        module: the one that has the buffers that the function changes, if it is run again.

    Returns:
        A :class:`Recorded`; the result alone where nothing in it requires grad.
    """
    sent = args[0] if args and type(args[0]) is Enumerated else None
    (args, kwargs), given = open_value((args, kwargs) if sent is None else sent)
    inputs: tuple[_Inputs, ...] = ()
    with torch.enable_grad():
        if given:
            arrived = _Inputs(parts_of(given), _parameters_that_travelled(sent))
            inputs = (arrived,)
            args, kwargs = replaced((args, kwargs), given, arrived.tensors)
            arrived.tensors = []
        if how == GraphMode.RECOMPUTE:
            value = run_again_in_backward(function, args, kwargs, module)
        else:
            value = function(*args, **kwargs)
        value, results = enumerate_tensors(value, is_call=False)
        if not results:
            return value
        outputs = parts_of(results)
        devices = [output.device for output in outputs]
        return Recorded(value, Graph(list(map(_end, outputs)), devices, inputs))


def _parameters_that_travelled(sent: Enumerated | None) -> Set[int]:
    """Which inputs are parameters of this process alone, and not the caller's own; no scripted ones can be replaced."""
    if sent is None:
        return frozenset()
    leaves = scripted_parameters(Walk(sent.value))
    if sent.process != os.getpid():
        leaves += [tensor for tensor in sent.tensors if isinstance(tensor, nn.Parameter)]
    return set(map(id, leaves))


def _end(result: Tensor) -> Tensor | GradientEdge:
    """Where a result's gradient goes in: an edge, because backward does not need the result's own memory."""
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
