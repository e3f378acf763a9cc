"""Recomputation: calls that are run again in backward, with the same random numbers and buffers, instead of a graph."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from remotemod.process import Slot, slot
from remotemod.torch_compat.modules import buffers_of
from remotemod.torch_compat.script import is_script_module
from remotemod.torch_compat.tensors import version_of
from remotemod.trees import map_tensors

__all__ = ["run_again_in_backward"]


def run_again_in_backward(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], module: Any
) -> Any:
    """Runs a function such that its graph holds no tensors but its arguments.

    Args:
        function: what to run.
        args: its positional arguments.
        kwargs: its keyword arguments.
        module: the module that the function is a method of.
    """
    # In one tuple each, because checkpoint has keywords of its own. Where random numbers come from it tells by the
    # tensors it is given, and the module's need not be where the arguments are.
    probes = []
    if isinstance(module, nn.Module):
        probes = [torch.empty(0, device=d) for d in {p.device for p in module.parameters()}]

    # Copies to keep, because the caller may write into what it gave where memory is shared; and copies for each run,
    # because a module may change what it is given in place, and is given it again.
    args, kwargs = _copied((args, kwargs))

    def run(args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> Any:
        args, kwargs = _copied((args, kwargs))
        return function(*args, **kwargs)

    again = _Rerun(module)
    # To the end each time: what an operation fills after it was saved is not there when the run stops early.
    result = checkpoint(
        run,
        args,
        kwargs,
        probes,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), again),
        early_stop=False,
    )
    again.ran()
    return result


def _copied(value: Any) -> Any:
    copies: dict[int, Tensor] = {}

    def visit(tensor: Tensor) -> Tensor:
        if nn.parameter.is_lazy(tensor):
            return tensor
        if id(tensor) not in copies:  # a tensor that is given twice stays one
            copies[id(tensor)] = tensor.clone()
        return copies[id(tensor)]

    return map_tensors(value, visit)


class _Rerun:
    """Lets a module run again as in forward: in the modes and on the buffers that it had, which stay as they are now.

    So running statistics count each call once, and what is run between forward and backward changes nothing. It can
    be entered any number of times, because a graph that is retained is run again in each pass.

    Args:
        module: the module, just before forward.
    """

    def __init__(self, module: Any) -> None:
        walked = isinstance(module, nn.Module) and not is_script_module(module)
        parts = list(module.modules()) if walked else []
        self._modes = [(vars(part), "training", part.training) for part in parts]
        self._buffers = [
            (buffers_of(part), name, buffer)
            for part in parts
            for name, buffer in buffers_of(part).items()
            if buffer is not None
        ]
        self._before = _copied([buffer for _, _, buffer in self._buffers])
        self._versions = [_version(buffer) for _, _, buffer in self._buffers]
        self._undo: list[list[tuple[dict[str, Any], str, Any]]] = []
        with _LOCK.value:
            self._lock = _RERUN_LOCKS.value.setdefault(id(module), threading.RLock())

    def ran(self) -> None:
        """Drops the copies of what the forward has not changed; comes after it."""
        for at, (held, name, buffer) in enumerate(self._buffers):
            if held.get(name) is buffer and _version(buffer) == self._versions[at] is not None:
                self._before[at] = None

    def __enter__(self) -> None:
        self._lock.acquire()
        undo = [(held, name, held[name]) for held, name, _ in (*self._modes, *self._buffers)]
        self._undo.append(undo)
        now = [held[name] for held, name, _ in self._buffers]
        then = [new if old is None else old for old, new in zip(self._before, now, strict=True)]
        for held, name, mode in self._modes:
            held[name] = mode
        for (held, name, _), copy in zip(self._buffers, _copied(then), strict=True):
            held[name] = copy

    def __exit__(self, *_: object) -> None:
        for held, name, old in self._undo.pop():
            held[name] = old
        self._lock.release()


def _version(tensor: Tensor) -> int | None:
    return None if nn.parameter.is_lazy(tensor) or tensor.is_inference() else version_of(tensor)


# One thread at a time runs a module again, because it changes what others would find in it.
_LOCK: Slot[threading.Lock] = slot("guards the locks of reruns", threading.Lock, in_child="new")
_RERUN_LOCKS: Slot[weakref.WeakValueDictionary[int, Any]] = slot(
    "locks of modules that are run again", weakref.WeakValueDictionary, in_child="new"
)
