"""The kernels of the operators of remote calls: the call itself, its shapes, and its node in a graph with gradients."""

from __future__ import annotations

import functools
import itertools
import random
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import has_side_effect

from remotemod.handles.directory import DIRECTORY
from remotemod.handles.tracing import calls
from remotemod.handles.tracing.declared import SCHEMAS, declare
from remotemod.handles.tracing.form import Form, constant, form_of, put_together, take_apart
from remotemod.handles.tracing.skeleton import shapes_of
from remotemod.process import Slot, slot
from remotemod.torch_compat.tracing import below_autograd, functional_modes, is_traced

__all__ = ["AUTOGRAD", "FAKE", "REAL", "define", "last_result", "next_site"]

_THREAD: Slot[threading.local] = slot("the last traced result of each thread", threading.local)
# Compiled code is cached on disk by its graph, which does not say what the module's shapes were.
_SITES: Slot[itertools.count[int]] = slot(
    "numbers the call sites in graphs",
    lambda: itertools.count(random.SystemRandom().getrandbits(48)),
    lasting=True,
)


@constant
def last_result() -> Form:
    """The form of the result of the call that was traced last in this thread."""
    form: Form = _THREAD.value.result
    return form


def next_site() -> int:
    """A number that no other call in any graph has, so that no compiler merges two calls."""
    return _next_site() + 0  # dynamo would guard a result that is used as it is, and cannot


@constant
def _next_site() -> int:
    return next(_SITES.value)


@constant
def define() -> None:
    """Declare the operators to torch, and that no call of them may be dropped."""
    declare()
    for name in SCHEMAS:
        has_side_effect(getattr(torch.ops.remotemod, name).default)


def _real_call(ref: str, method: str, form: str, tensors: Any, sizes: Any, site: int) -> Any:
    return calls.call(ref, method, form_of(form), tensors, sizes, site)


def _real_submit(
    ref: str, method: str, form: str, tensors: Any, sizes: Any, site: int, needs: Any = None
) -> Any:
    return calls.begin(ref, method, form_of(form), tensors, sizes, site, needs)


def _below(name: str, *args: Any) -> Any:
    with below_autograd():
        return getattr(torch.ops.remotemod, name)(*args)


def _autograd(name: str, *args: Any) -> Any:
    tensors = _tensors_of(args)
    if not is_traced(tensors):
        return REAL[name](*args)
    recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if name == "submit":
        return _note_submitted(_trace_submit(*args) if recorded else _below(name, *args))
    if name == "collect":
        args = args[0], _submitted(args[0]), *args[2:]
    return _TRACED[name](*args) if recorded and name in _TRACED else _below(name, *args)


_SUBMITTED: Slot[weakref.WeakKeyDictionary[Any, list[Tensor]]] = slot(
    "the calls that a graph has submitted so far", weakref.WeakKeyDictionary
)


def _note_submitted(token: Tensor) -> Tensor:
    """Note that a call has been submitted in the graph that is written."""
    for mode in functional_modes():
        _SUBMITTED.value.setdefault(mode, []).append(token)
    return token


def _submitted(token: Tensor) -> list[Tensor]:
    """The tokens of the other calls that the graph has submitted so far.

    A compiler reorders independent operations: it would wait for the first call before it submits the second.
    """
    others: list[Tensor] = []
    for mode in functional_modes():
        others += [other for other in _SUBMITTED.value.get(mode, ()) if other is not token]
    return others


def _tensors_of(args: Sequence[Any]) -> list[Tensor]:
    return [
        item
        for arg in args
        for item in (arg if isinstance(arg, (list, tuple)) else [arg])
        if isinstance(item, Tensor)
    ]


def _trace_call(*call: Any) -> Any:
    return _trace_collect(_trace_submit(*call, None), [], *call, None)


def _trace_submit(*call: Any) -> Any:
    arguments = call[:-1]
    return _below("submit_kept", *arguments, [t.requires_grad for t in arguments[3]])


def _trace_collect(token: Tensor, after: list[Tensor], *call: Any) -> Any:
    ref, method, form, tensors, sizes, site, anchor = call
    called = (ref, method, form)
    return list(_Collect.apply(token, after, called, sizes, site, anchor, *tensors))  # type: ignore[no-untyped-call]


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        token: Tensor,
        after: list[Tensor],
        call: tuple[str, str, str],
        sizes: Sequence[int],
        site: int,
        anchor: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        results, graph = _below(
            "collect_kept",
            token,
            after,
            *call,
            list(tensors),
            sizes,
            site,
            anchor is not None,
        )
        ctx.save_for_backward(graph)
        ctx.set_materialize_grads(False)
        needed = [t for t, need in zip(tensors, ctx.needs_input_grad[6:], strict=True) if need]
        ctx.shapes = [tuple(t.shape) for t in needed]
        ctx.like = " ".join(f"{str(t.dtype).removeprefix('torch.')}/{t.device}" for t in needed)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        (graph,) = ctx.saved_tensors
        ranks = [len(shape) for shape in ctx.shapes]
        sizes = [size for shape in ctx.shapes for size in shape]
        input_grads = iter(torch.ops.remotemod.backward(graph, list(grads), ctx.like, ranks, sizes))
        inputs = [next(input_grads) if need else None for need in ctx.needs_input_grad[6:]]
        return None, None, None, None, None, None, *inputs


# --- without data -----------------------------------------------------------------------------


def _shapes(
    ref: str, method: str, form: str, tensors: list[Tensor], sizes: list[Any], site: int
) -> list[Tensor]:
    args, kwargs = put_together(form_of(form), tensors, sizes)
    client = DIRECTORY.find(ref)
    value = shapes_of(client, method, args, kwargs)
    result_tensors: list[Tensor] = []
    result = _THREAD.value.result = take_apart(value, result_tensors, None)
    calls.EXPECTED.value[site] = calls.Result.of(result, result_tensors)
    return [tensor.new_empty(tensor.shape) for tensor in result_tensors] or [torch.empty(0)]


def _number(*_: Any) -> Tensor:
    return torch.empty(1, dtype=torch.int64)


def _gradients(
    graph: Tensor, grads: Any, like: str, ranks: list[int], sizes: list[Any]
) -> list[Tensor]:
    remaining_sizes = iter(sizes)
    gradients = []
    for rank, kind in zip(ranks, like.split(), strict=True):
        dtype, _, device = kind.partition("/")
        shape = [next(remaining_sizes) for _ in range(rank)]
        gradients.append(torch.empty(shape, dtype=getattr(torch, dtype), device=device))
    return gradients


# --- the kernels by operator -----------------------------------------------------------------

REAL: dict[str, Callable[..., Any]] = {
    "call": _real_call,
    "submit": lambda *call: _real_submit(*call[:-1]),
    "collect": lambda call, *_: calls.end(call),
    "submit_kept": _real_submit,
    "collect_kept": lambda call, *rest: calls.end_kept(call, rest[-1]),
    "backward": lambda graph, grads, *_: calls.go_back(graph, grads),
}
FAKE: dict[str, Callable[..., Any]] = {
    "call": _shapes,
    "submit": _number,
    "collect": lambda call, after, *rest: _shapes(*rest[:-1]),
    "submit_kept": _number,
    "collect_kept": lambda call, after, *rest: (_shapes(*rest[:-1]), _number()),
    "backward": _gradients,
}
AUTOGRAD: dict[str, Callable[..., Any]] = {
    name: functools.partial(_autograd, name) for name in SCHEMAS
}
_TRACED = {"call": _trace_call, "collect": _trace_collect}
