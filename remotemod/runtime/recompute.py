"""Calls whose owner keeps no graph: it runs them again in backward, with the same random numbers and buffers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from remotemod.errors import RemoteModError
from remotemod.runtime.moves import map_tensors

__all__ = ["run_again_in_backward"]


def run_again_in_backward(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Runs a function such that its graph holds no tensors but its arguments.

    Args:
        function: what to run; its first argument may be a module in the form that generated code takes.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Raises:
        RemoteModError: the function changes an argument in place, so that it cannot be run again.
    """
    module = getattr(args[0], "forward", None) if args else None
    versions = _versions((args, kwargs))
    # In one tuple each, because checkpoint has keywords of its own. Where random numbers come from it tells by the
    # tensors it is given, and the module's need not be where the arguments are.
    probe = next(module.parameters(), None) if isinstance(module, nn.Module) else None
    value = checkpoint(
        lambda args, kwargs, _: function(*args, **kwargs),
        args,
        kwargs,
        probe,
        use_reentrant=False,
        context_fn=functools.partial(_contexts, module),
    )
    if _versions((args, kwargs)) != versions:
        raise RemoteModError(
            "recompute=True runs a call again in backward, and this one has changed an argument in place; "
            "clone it in the module, use an operation that is not in-place, or leave recompute out"
        )
    return value


def _versions(value: Any) -> list[int]:
    found: list[int] = []

    def visit(tensor: Tensor) -> Tensor:
        found.append(tensor._version)
        return tensor

    map_tensors(value, visit)
    return found


def _contexts(module: Any) -> tuple[Any, Any]:
    return contextlib.nullcontext(), _own_buffers(module)


@contextlib.contextmanager
def _own_buffers(module: Any) -> Iterator[None]:
    """Lets a module work on copies of its buffers, so that running statistics count each call once."""
    swapped: list[tuple[Any, str, Tensor]] = []
    if isinstance(module, nn.Module) and not isinstance(module, torch.jit.ScriptModule):
        for part in module.modules():
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    swapped.append((part._buffers, name, buffer))
    try:
        for buffers, name, buffer in swapped:
            buffers[name] = buffer.clone()
        yield
    finally:
        for buffers, name, buffer in swapped:
            buffers[name] = buffer
