"""Make the remote calls of a graph of torch's, and keep the state of each until its end.

A token is a tensor that a graph holds in the place of a started call or of a kept graph."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from remotemod.autograd.caller import anchor
from remotemod.errors import RemoteModError
from remotemod.future import Future
from remotemod.handles.client import Client
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.tracing.form import Form, put_together, take_apart
from remotemod.process import Slot, slot
from remotemod.torch_compat.engine import keeps_graph, will_execute

__all__ = ["EXPECTED", "begin", "call", "end", "end_kept", "go_back"]

# A graph may outlive any reset: the values of its tokens go with them.
_NUMBERS: Slot[itertools.count[int]] = slot(
    "numbers of tokens", lambda: itertools.count(1), lasting=True
)


class Result(NamedTuple):
    """The result with which a call was traced.

    Attributes:
        form: its form.
        tensors: the dtype and the sizes of each tensor; None for a size that was symbolic.
    """

    form: Form
    tensors: list[tuple[torch.dtype, tuple[int | None, ...]]]

    @staticmethod
    def of(form: Form, tensors: Sequence[Tensor]) -> Result:
        """The description of a result."""
        shapes = [tuple(size if type(size) is int else None for size in t.shape) for t in tensors]
        return Result(form, [(t.dtype, shape) for t, shape in zip(tensors, shapes, strict=True)])

    def difference(self, form: Form, tensors: Sequence[Tensor]) -> str | None:
        """The difference that makes another result unfit for the graph; None if there is none."""
        if form != self.form:
            return f"{form} is not {self.form}, and a graph holds only tensors: return what changes as a tensor"
        for tensor, (dtype, sizes) in zip(tensors, self.tensors, strict=True):
            fits = tensor.dim() == len(sizes) and all(
                size in (None, actual) for size, actual in zip(sizes, tensor.shape, strict=True)
            )
            if tensor.dtype != dtype or not fits:
                shown = ", ".join("any" if size is None else str(size) for size in sizes)
                return f"{tensor.dtype} {tuple(tensor.shape)} is not {dtype} ({shown}): correct its rule (fake=), or trace again"
        return None


EXPECTED: Slot[dict[int, Result]] = slot(
    "the results that graphs were traced with", dict, lasting=True
)
"""The result with which each call site in a graph was traced."""


class _Called(NamedTuple):
    """A call from a graph, whose tensors have memory of their own, because compilers reuse memory."""

    client: Client
    method: str
    site: int

    def arguments(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The tensors as arguments, copied where the module shares memory with its caller."""
        shared = self.client.cluster.capabilities.shares_memory
        return [tensor.clone() for tensor in tensors] if shared else tensors

    def tensors(self, value: Any) -> list[Tensor]:
        """The tensors of a result, without gaps.

        Raises:
            RemoteModError: the rest of the result is not what the graph was traced with.
        """
        tensors: list[Tensor] = []
        form = take_apart(value, tensors, None)
        expected = EXPECTED.value.get(self.site)
        difference = None if expected is None else expected.difference(form, tensors)
        if difference is not None:
            raise RemoteModError(
                f"{self.client.kind}.{self.method} on '{self.client.worker}' returned something else than when it was "
                f"traced: {difference}, or call {self.method} outside of what is compiled"
            )
        if self.client.cluster.capabilities.shares_memory:
            own = [tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors]
        else:
            last_index = {id(tensor): i for i, tensor in enumerate(tensors)}
            own = [
                tensor.contiguous() if last_index[id(tensor)] == i else tensor.clone().contiguous()
                for i, tensor in enumerate(tensors)
            ]
        return own or [torch.empty(0)]  # a saved program can have no list without tensors


def _called(ref: str, method: str, site: int) -> _Called:
    client = DIRECTORY.find(ref)
    return _Called(client, method, site)


class _Begun(NamedTuple):
    future: Future[Any]
    inputs: list[Tensor]
    called: _Called

    def tensors(self) -> list[Tensor]:
        """The tensors of the result."""
        return self.called.tensors(self.future.wait())


class _Kept(NamedTuple):
    results: list[Tensor]
    inputs: list[Tensor]
    anchored: bool


_BEGUN: Slot[dict[int, _Begun]] = slot("started calls, by their tokens", dict, lasting=True)
_KEPT: Slot[dict[int, _Kept]] = slot("kept graphs, by their tokens", dict, lasting=True)


def call(
    ref: str, method: str, form: Form, tensors: Sequence[Tensor], sizes: Sequence[int], site: int
) -> list[Tensor]:
    """Run a method and return the tensors of its result; autograd sees it as any remote call."""
    called = _called(ref, method, site)
    args, kwargs = put_together(form, called.arguments(tensors), sizes)
    return called.tensors(called.client.call(method, args, kwargs))


def begin(
    ref: str,
    method: str,
    form: Form,
    tensors: Sequence[Tensor],
    sizes: Sequence[int],
    site: int,
    needs: Sequence[bool] | None = None,
) -> Tensor:
    """Start a method.

    Args:
        ref: the remote module.
        method: its method.
        form: the form of the arguments.
        tensors: their tensors.
        sizes: their whole numbers.
        site: the number of the call site.
        needs: which of the tensors need a gradient, where the calling graph has a backward of its own, which calls
            :func:`go_back`; None where autograd sees the call itself.

    Returns:
        The token of the call.
    """
    called = _called(ref, method, site)
    given, inputs = called.arguments(tensors), []
    if needs is not None:
        given = [t.detach().requires_grad_(need) for t, need in zip(given, needs, strict=True)]
        inputs = [tensor for tensor in given if tensor.requires_grad]
    args, kwargs = put_together(form, given, sizes)
    with torch.set_grad_enabled(needs is not None or torch.is_grad_enabled()):
        future = called.client.submit(method, args, kwargs)
    return _make_token(_BEGUN.value, _Begun(future, inputs, called))


def end(token: Tensor) -> list[Tensor]:
    """Wait for a started method and return the tensors of its result.

    Raises:
        RemoteModError: the graph that started it is over, so gradients cannot flow back.
    """
    begun = _take(token)
    if begun.inputs:
        raise RemoteModError(
            "the result of a call that a compiled function has submitted is waited for outside of it, where gradients "
            "no longer find their way back: wait() inside of the function"
        )
    return begun.tensors()


def end_kept(token: Tensor, anchored: bool) -> tuple[list[Tensor], Tensor]:
    """Wait for a method that was started with ``needs``; also return the token of its graph.

    Args:
        token: the token of the call.
        anchored: whether the calling graph has the anchor of the remote parameters among its inputs.
    """
    begun = _take(token)
    with torch.enable_grad():
        results = begun.tensors()
    graph = _make_token(_KEPT.value, _Kept(results, begun.inputs, anchored))
    return [result.detach() for result in results], graph


def go_back(graph: Tensor, grads: Sequence[Tensor | None]) -> list[Tensor]:
    """The gradients of the inputs that need one, given those of the results; the owner's parameters get theirs.

    Args:
        graph: the token of the graph.
        grads: the gradient of each result; None where there is none.
    """
    results, inputs, anchored = _KEPT.value[int(graph)]
    pairs = [
        (result, grad)
        for result, grad in zip(results, grads, strict=True)
        if grad is not None and result.requires_grad
    ]
    if not pairs:
        return [torch.zeros_like(tensor) for tensor in inputs]
    keep = keeps_graph()
    outs, given = zip(*pairs, strict=True)
    # A pass for some inputs alone, such as autograd.grad(), leaves no gradients on parameters.
    if not anchored or will_execute(anchor()[1]):
        torch.autograd.backward(outs, given, keep)
        input_grads = tuple(tensor.grad for tensor in inputs)
        for tensor in inputs:
            tensor.grad = None
    else:
        input_grads = torch.autograd.grad(outs, inputs, given, keep, allow_unused=True)
    return [
        torch.zeros_like(tensor) if grad is None else grad.contiguous()
        for tensor, grad in zip(inputs, input_grads, strict=True)
    ]


def _make_token(table: dict[int, Any], value: Any) -> Tensor:
    """A token of ``value``, which is dropped with the tensor's memory."""
    number = next(_NUMBERS.value)
    table[number] = value
    token = torch.tensor([number])
    weakref.finalize(token.untyped_storage(), table.pop, number, None)
    return token


def _take(token: Tensor) -> _Begun:
    begun = _BEGUN.value.pop(int(token), None)
    if begun is None:
        raise RemoteModError("the result of this call was taken before")
    return begun
