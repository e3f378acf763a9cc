"""Functions that a handle runs on the owner: each takes the module's reference first."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from remotemod.runtime.owner import current_owner
from remotemod.runtime.ref import RemoteRef

__all__ = [
    "as_module",
    "existing",
    "load_state_dict",
    "parameter_refs",
    "requires_grad_",
    "state_dict",
    "train",
    "zero_grad",
]


def as_module(value: Any) -> Any:
    """``value``, or the Python form of a scripted module that comes without: so typed references hand it out."""
    if isinstance(value, torch._C.ScriptModule):
        wrap: Any = torch.jit._recursive.wrap_cpp_module  # untyped in torch
        return wrap(value)
    return value


def _module(ref: RemoteRef[nn.Module]) -> nn.Module:
    module: nn.Module = as_module(ref.local_value())
    return module


def existing(ref: RemoteRef[nn.Module]) -> nn.Module:
    """The module itself, for another handle on it."""
    return _module(ref)


def parameter_refs(ref: RemoteRef[nn.Module], recurse: bool) -> list[RemoteRef[Any]]:
    """A reference to each parameter."""
    owner = current_owner()
    assert owner is not None
    return [owner.keep(p) for p in _module(ref).parameters(recurse)]


def train(ref: RemoteRef[nn.Module], mode: bool) -> None:
    """Sets the mode; the module itself never travels back."""
    _module(ref).train(mode)


def requires_grad_(ref: RemoteRef[nn.Module], requires_grad: bool) -> None:
    """Sets ``requires_grad`` on all parameters."""
    _module(ref).requires_grad_(requires_grad)


def zero_grad(ref: RemoteRef[nn.Module], set_to_none: bool) -> None:
    """Clears the gradients."""
    _module(ref).zero_grad(set_to_none)


def state_dict(ref: RemoteRef[nn.Module]) -> dict[str, Any]:
    """The module's state."""
    return dict(_module(ref).state_dict())


def load_state_dict(
    ref: RemoteRef[nn.Module], state: dict[str, Any], strict: bool, assign: bool
) -> Any:
    """Loads a state and returns the missing and unexpected keys."""
    return _module(ref).load_state_dict(state, strict, assign)
