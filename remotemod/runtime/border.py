"""Keeps gradients from getting lost in silence where a result has crossed a process border."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from remotemod.errors import RemoteModError
from remotemod.runtime.moves import map_tensors

__all__ = ["guard_gradients"]


class _Border(torch.autograd.Function):
    """The identity, whose backward says that there is no way back yet."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        # Not a view of the input in autograd's eyes: results may be changed in place.
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RemoteModError(
            "backward() has reached the result of a remote call, and gradients do not cross the border to "
            "another process yet; call the remote module under torch.no_grad(), detach() its result, "
            'or use backend="inproc", where gradients flow'
        )


def guard_gradients(value: Any) -> Any:
    """``value`` with each tensor that required grad on the owner made to refuse ``backward()`` aloud."""
    if type(value) is Tensor and not value.requires_grad:
        return value
    return map_tensors(value, _guard)


def _guard(tensor: Tensor) -> Tensor:
    if not tensor.requires_grad or tensor.grad_fn is not None:
        return tensor  # with a graph it came inside of torch's own distributed autograd
    if torch.nn.parameter.is_lazy(tensor):
        return tensor  # nothing was computed with what has no values yet
    if tensor.is_nested and tensor.layout is torch.strided:
        # torch's custom functions do not take such a tensor; its parts they do.
        return torch.nested.as_nested_tensor([_guarded(part) for part in tensor.detach().unbind()])
    return _guarded(tensor.detach())


def _guarded(tensor: Tensor) -> Tensor:
    guarded: Tensor = _Border.apply(tensor.requires_grad_())  # type: ignore[no-untyped-call]
    return guarded
