"""Declare the operators of remote calls in graphs of torch's; their implementation is imported when they run."""

from __future__ import annotations

import functools
from typing import Any

import torch

__all__ = ["SCHEMAS", "declare"]

_CALL = "str ref, str method, str form, Tensor[] tensors, SymInt[] sizes, int site"
SCHEMAS = {
    "call": f"({_CALL}) -> Tensor[]",
    "submit": f"({_CALL}, Tensor? anchor) -> Tensor",
    "collect": f"(Tensor call, Tensor[] after, {_CALL}, Tensor? anchor) -> Tensor[]",
    "submit_kept": f"({_CALL}, bool[] needs) -> Tensor",
    "collect_kept": f"(Tensor call, Tensor[] after, {_CALL}, bool anchored) -> (Tensor[], Tensor)",
    "backward": "(Tensor graph, Tensor?[] grads, str like, int[] ranks, SymInt[] sizes) -> Tensor[]",
}
"""``call`` is a whole remote call, and what exported programs hold; ``submit`` and ``collect`` are its halves.

``ref`` and ``method`` name the called method; ``form``, ``tensors`` and ``sizes`` are its arguments, taken apart; ``site``
is a number of its own for each call of a program. What was submitted ``after`` the call stays before its result is waited for. ``anchor`` requires grad for the remote parameters. Where a graph has a
backward of its own, the kept forms replace the halves, and ``backward`` is its backward: ``like`` has the dtypes and
devices of the gradients, ``ranks`` and ``sizes`` their shapes.
"""


@functools.cache
def declare() -> Any:
    """Declare the operators, once; costs about a millisecond."""
    make: Any = torch.library.Library  # untyped in torch
    library = make("remotemod", "DEF")
    for name, schema in SCHEMAS.items():
        library.define(name + schema)
        library.impl(name, functools.partial(_run, "REAL", name), "CompositeExplicitAutograd")
        library.impl(name, functools.partial(_run, "AUTOGRAD", name), "Autograd")
        fake = functools.partial(_run, "FAKE", name)
        torch.library.register_fake(f"remotemod::{name}", fake, lib=library)
    return library


def _run(table: str, name: str, *args: Any) -> Any:
    from remotemod.handles.tracing import operators

    return getattr(operators, table)[name](*args)
