"""What the operators of remote calls do: make the call, tell its shapes, or become a part of a graph with gradients."""

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

_THREAD: Slot[threading.local] = slot("what each thread has traced last", threading.local)
# Compiled code is cached on disk by its graph, which does not say what the module's shapes were.
_SITES: Slot[itertools.count[int]] = slot(
    "numbers the places of calls in graphs",
    lambda: itertools.count(random.SystemRandom().getrandbits(48)),
    lasting=True,
)


@constant
def last_result() -> Form:
    """How the result of the call that was traced last in this thread is made of its tensors."""
    found: Form = _THREAD.value.result
    return found


def next_site() -> int:
    """A number that no other call in any graph has, so that nobody takes two calls for one."""
    return _next_site() + 0  # dynamo would guard a result that is used as it is, and cannot


@constant
def _next_site() -> int:
    return next(_SITES.value)


@constant
def define() -> None:
    """Make the operators known to torch, and that none of them may be left out."""
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
        return _began(_trace_submit(*args) if recorded else _below(name, *args))
    if name == "collect":
        args = args[0], _begun(args[0]), *args[2:]
    return _TRACED[name](*args) if recorded and name in _TRACED else _below(name, *args)


_BEGUN: Slot[weakref.WeakKeyDictionary[Any, list[Tensor]]] = slot(
    "the calls that a graph has submitted so far", weakref.WeakKeyDictionary
)


def _began(stands_for: Tensor) -> Tensor:
    """Note that a call has been submitted in the graph that is written."""
    for mode in functional_modes():
        _BEGUN.value.setdefault(mode, []).append(stands_for)
    return stands_for


def _begun(stands_for: Tensor) -> list[Tensor]:
    """The other calls that the graph has submitted so far.

    A compiler moves what does not depend on each other: it would wait for the first call before it submits the second.
    """
    found: list[Tensor] = []
    for mode in functional_modes():
        found += [begun for begun in _BEGUN.value.get(mode, ()) if begun is not stands_for]
    return found


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
    given = call[:-1]
    return _below("submit_kept", *given, [tensor.requires_grad for tensor in given[3]])


def _trace_collect(stands_for: Tensor, after: list[Tensor], *call: Any) -> Any:
    ref, method, form, tensors, sizes, site, anchor = call
    what = (ref, method, form)
    return list(_Collect.apply(stands_for, after, what, sizes, site, anchor, *tensors))  # type: ignore[no-untyped-call]


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        stands_for: Tensor,
        after: list[Tensor],
        call: tuple[str, str, str],
        sizes: Sequence[int],
        site: int,
        anchor: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        results, graph = _below(
            "collect_kept",
            stands_for,
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
        found = iter(torch.ops.remotemod.backward(graph, list(grads), ctx.like, ranks, sizes))
        inputs = [next(found) if need else None for need in ctx.needs_input_grad[6:]]
        return None, None, None, None, None, None, *inputs


# --- without data -----------------------------------------------------------------------------


def _shapes(
    ref: str, method: str, form: str, tensors: list[Tensor], sizes: list[Any], site: int
) -> list[Tensor]:
    args, kwargs = put_together(form_of(form), tensors, sizes)
    client = DIRECTORY.find(ref)
    value = shapes_of(client, method, args, kwargs)
    found: list[Tensor] = []
    result = _THREAD.value.result = take_apart(value, found, None)
    calls.EXPECTED.value[site] = calls.Result.of(result, found)
    return [tensor.new_empty(tensor.shape) for tensor in found] or [torch.empty(0)]


def _number(*_: Any) -> Tensor:
    return torch.empty(1, dtype=torch.int64)


def _gradients(
    graph: Tensor, grads: Any, like: str, ranks: list[int], sizes: list[Any]
) -> list[Tensor]:
    left = iter(sizes)
    made = []
    for rank, kind in zip(ranks, like.split(), strict=True):
        dtype, _, device = kind.partition("/")
        shape = [next(left) for _ in range(rank)]
        made.append(torch.empty(shape, dtype=getattr(torch, dtype), device=device))
    return made


# --- what each operator does -----------------------------------------------------------------

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
