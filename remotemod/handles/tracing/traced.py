"""The calls of a handle while it is traced: they become operators in the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_exporting

from remotemod.errors import RemoteModError
from remotemod.future import TracedFuture
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.tracing.form import constant, put_together, take_apart, text_of
from remotemod.handles.tracing.operators import define, last_result, next_site
from remotemod.handles.tracing.skeleton import outside

__all__ = ["Pending", "call", "submit"]


def call(
    ref: str, method: str, anchor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A remote call that is waited for.

    Args:
        ref: the remote module.
        method: its method.
        anchor: the tensor that requires grad for the remote parameters.
        args: positional arguments.
        kwargs: keyword arguments.
    """
    if not is_exporting():
        return submit(ref, method, anchor, args, kwargs).wait()
    tensors = torch.ops.remotemod.call(*_arguments(ref, method, args, kwargs))
    return put_together(last_result(), tensors, [])


def submit(
    ref: str, method: str, anchor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A remote call that is not waited for, as a :class:`Pending`; see :func:`call`."""
    # An exported program makes ordinary calls; only compiled graphs have a backward of their own.
    return Pending((*_arguments(ref, method, args, kwargs), None if is_exporting() else anchor))


class Pending(TracedFuture):
    """The result of ``forward_async`` while it is traced: it can be waited for, and nothing else.

    Args:
        arguments: the operators' arguments.
    """

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self._arguments = arguments
        self._token = torch.ops.remotemod.submit(*arguments)

    def wait(self, timeout: float | None = None) -> Any:
        """The result. The timeout is the handle's own; ``timeout`` is ignored."""
        tensors = torch.ops.remotemod.collect(self._token, [], *self._arguments)
        return put_together(last_result(), tensors, [])

    def result(self, timeout: float | None = None) -> Any:
        """The result; see :meth:`wait`."""
        return self.wait()

    def __getattr__(self, name: str) -> Any:
        raise RemoteModError(
            f"a call that was submitted in a compiled or exported function has no '{name}': take its result by "
            "wait(), inside of the same function"
        )


def _arguments(
    ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    define()
    if is_exporting():
        _announce(ref)
    tensors: list[Tensor] = []
    sizes: list[Any] = []
    form = take_apart((args, kwargs), tensors, sizes)
    return ref, method, text_of(form, is_exporting(), method), tensors, sizes, next_site()


@constant
def _announce(ref: str) -> None:
    """Make a module findable by its reference string: a program outlives the handle."""
    client = DIRECTORY.find(ref)
    outside(DIRECTORY.announce, ref, client)
