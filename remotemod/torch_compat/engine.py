"""The autograd engine, its profiler and the transforms around it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import forward_ad

from remotemod.errors import GraphError
from remotemod.torch_compat.private import MISSING, Private

__all__ = [
    "dual_level",
    "has_memory_of_its_own",
    "is_profiling",
    "keeps_graph",
    "transforms_are_active",
    "will_execute",
]

_PROFILER_ENABLED = Private(
    "torch._C._autograd._profiler_enabled",
    relied_on="tells in nanoseconds whether a profiler is on, so that other calls need no name for it",
    without="each call is named for the profiler, whether one is on or not: a few microseconds more",
    instead="torch.autograd.profiler.record_function, always",
)
_TRANSFORMS_ACTIVE = Private(
    "torch._C._are_functorch_transforms_active",
    relied_on="tells whether a transform of torch.func (grad, vmap, …) is under way",
    without="remote calls under torch.func's transforms are refused where their tensors are sent, in other words",
    instead="the tensors that such transforms make have no memory that could be sent",
)
_DUAL_LEVEL = Private(
    "torch.autograd.forward_ad._current_level",
    relied_on="is negative while no forward-mode derivatives are taken, so that no argument need be looked at",
    without="each call looks for dual tensors among its arguments, which costs a walk",
    instead="torch.autograd.forward_ad.unpack_dual, for each tensor",
)
_KEEP_GRAPH = Private(
    "torch._C._autograd._get_current_graph_task_keep_graph",
    relied_on="tells whether the backward pass under way was asked to retain the graph",
    without="owners keep a call's graph until the caller's own half is gone, even after backward()",
)
_WILL_EXECUTE = Private(
    "torch._C._will_engine_execute_node",
    relied_on="tells whether the backward pass under way comes to a node: whose gradients are wanted",
    without="backward() and autograd.grad() cannot be told apart across a process boundary, so gradients of remote "
    "calls are off",
)
_HAS_STORAGE = Private(
    "torch._C._has_storage",
    relied_on="tells a gradient with memory from one that vmap made",
    without="the gradient's storage is asked for, and torch refuses",
    instead="torch.Tensor.untyped_storage",
)


def is_profiling() -> bool:
    """Whether calls are to be named for a profiler."""
    enabled = _PROFILER_ENABLED.found
    return True if enabled is MISSING else enabled()


def transforms_are_active() -> bool:
    """Whether a transform of ``torch.func`` is under way in this thread."""
    active = _TRANSFORMS_ACTIVE.found
    return False if active is MISSING else active()


def dual_level() -> int:
    """The level of forward-mode derivatives; negative where none are taken."""
    if _DUAL_LEVEL.found is MISSING:
        return 0
    # A number that changes: the module is asked each time.
    return forward_ad._current_level


def keeps_graph() -> bool:
    """Whether the backward pass that is under way was asked to retain the graph."""
    keep = _KEEP_GRAPH.found
    return True if keep is MISSING else keep()


def will_execute(node: Any) -> bool:
    """Whether the backward pass that is under way will come to a node.

    Raises:
        GraphError: this torch does not say.
    """
    return _WILL_EXECUTE.require(GraphError)(node)  # type: ignore[no-any-return]


def has_memory_of_its_own(tensor: Tensor) -> bool:
    """Whether a tensor has memory, unlike those that ``vmap`` makes."""
    has_storage = _HAS_STORAGE.found
    if has_storage is not MISSING:
        return has_storage(tensor)  # type: ignore[no-any-return]
    try:
        tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return False
    return True
