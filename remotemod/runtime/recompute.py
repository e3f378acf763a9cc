"""Calls whose owner keeps no graph: it runs them again in backward, with the same random numbers and buffers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from remotemod.runtime.moves import map_tensors

__all__ = ["run_again_in_backward"]


def run_again_in_backward(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], module: Any
) -> Any:
    """Runs a function such that its graph holds no tensors but its arguments.

    Args:
        function: what to run.
        args: its positional arguments.
        kwargs: its keyword arguments.
        module: the module whose method it is.
    """
    # In one tuple each, because checkpoint has keywords of its own. Where random numbers come from it tells by the
    # tensors it is given, and the module's need not be where the arguments are.
    probe = None
    if isinstance(module, nn.Module):
        probe = next((torch.empty(0, device=p.device) for p in module.parameters()), None)

    def run(args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> Any:
        # Copies, because a module may change what it is given in place, and is given it again.
        args, kwargs = _copied((args, kwargs))
        return function(*args, **kwargs)

    # To the end each time: what an operation fills after it was saved is not there when the run stops early.
    return checkpoint(
        run,
        args,
        kwargs,
        probe,
        use_reentrant=False,
        context_fn=functools.partial(_contexts, module),
        early_stop=False,
    )


def _copied(value: Any) -> Any:
    copies: dict[int, Tensor] = {}

    def visit(tensor: Tensor) -> Tensor:
        if nn.parameter.is_lazy(tensor):
            return tensor
        if id(tensor) not in copies:  # a tensor that is given twice stays one
            copies[id(tensor)] = tensor.clone()
        return copies[id(tensor)]

    return map_tensors(value, visit)


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
