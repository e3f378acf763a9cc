"""Functions that a handle runs on the owner: each takes the module's reference first."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from remotemod.owner.owner import current_owner
from remotemod.rpc.ref import RemoteRef
from remotemod.torch_compat.modules import (
    children_of,
    load_own_entries,
    load_post_hooks,
    metadata_of,
    new_state,
    with_children,
)
from remotemod.torch_compat.script import is_compiled_module, python_form

__all__ = [
    "Loaded",
    "Loading",
    "apply",
    "as_module",
    "copied",
    "existing",
    "load_entries",
    "parameter_refs",
    "remote_module",
    "requires_grad_",
    "state_entries",
    "train",
    "zero_grad",
]


def as_module(value: Any) -> Any:
    """``value``, or the Python form of a compiled module, which typed references give without."""
    if is_compiled_module(value):
        return python_form(value)
    return value


def remote_module(ref: RemoteRef[nn.Module]) -> nn.Module:
    """The module behind a handle."""
    module: nn.Module = as_module(ref.local_value())
    return module


def existing(ref: RemoteRef[nn.Module]) -> nn.Module:
    """The module itself, for another handle on it."""
    return remote_module(ref)


def parameter_refs(ref: RemoteRef[nn.Module], recurse: bool) -> list[RemoteRef[Any]]:
    """A reference to each parameter."""
    owner = current_owner()
    assert owner is not None
    return [owner.keep(p) for p in remote_module(ref).parameters(recurse)]


def train(ref: RemoteRef[nn.Module], mode: bool) -> None:
    """Set the mode; the module itself never travels back."""
    remote_module(ref).train(mode)


def requires_grad_(ref: RemoteRef[nn.Module], requires_grad: bool) -> None:
    """Set ``requires_grad`` on all parameters."""
    remote_module(ref).requires_grad_(requires_grad)


def zero_grad(ref: RemoteRef[nn.Module], set_to_none: bool) -> None:
    """Clear the gradients."""
    remote_module(ref).zero_grad(set_to_none)


def apply(ref: RemoteRef[nn.Module], fn: Callable[[nn.Module], None]) -> None:
    """Run ``fn`` on each submodule and on the module."""
    remote_module(ref).apply(fn)


def copied(ref: RemoteRef[nn.Module]) -> nn.Module:
    """A copy of the module."""
    return copy.deepcopy(remote_module(ref))


# --- the state, for a parent's walk -----------------------------------------------------------


def state_entries(
    ref: RemoteRef[nn.Module], prefix: str, keep_vars: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The module's state under a prefix, and the versions of its submodules, as a state's metadata has them."""
    state = new_state()
    final = remote_module(ref).state_dict(destination=state, prefix=prefix, keep_vars=keep_vars)
    # Only the outermost module's hooks may put another dict in its place.
    return dict(state if prefix else final), dict(metadata_of(state) or {})


class Loading(NamedTuple):
    """The part of a state that belongs to one module.

    Attributes:
        prefix: the prefix of its keys.
        entries: the state.
        versions: the whole state's metadata for this part.
        assign: whether the entries themselves become the parameters and buffers.
        copied: whether they come from another process, in memory that is only borrowed.
        missing: the keys that are missing so far; hooks see them, and may change them.
        unexpected: likewise, the unexpected ones.
    """

    prefix: str
    entries: dict[str, Any]
    versions: dict[str, Any]
    assign: bool
    copied: bool
    missing: list[str]
    unexpected: list[str]


class Loaded(NamedTuple):
    """The outcome of a :class:`Loading`."""

    missing: list[str]
    unexpected: list[str]
    errors: list[str]


def load_entries(ref: RemoteRef[nn.Module], loading: Loading) -> Loaded:
    """Load a part of a state as the walk of a local parent would."""
    module = remote_module(ref)
    root = _Root(module, loading)
    entries = loading.entries
    if loading.assign and loading.copied:
        members = itertools.chain(
            module.named_parameters(remove_duplicate=False),
            module.named_buffers(remove_duplicate=False),
        )
        devices = {loading.prefix + name: member.device for name, member in members}
        entries = {key: _own_copy(value, devices.get(key)) for key, value in entries.items()}
    state = new_state(entries, loading.versions)
    root.load_state_dict(state, strict=False, assign=loading.assign)
    assert root.loaded is not None
    return root.loaded


class _Root(nn.Module):
    """A placeholder for the caller's parents, so that names, hooks and errors are those of a local load."""

    def __init__(self, module: nn.Module, loading: Loading) -> None:
        super().__init__()
        self._loading = loading
        self._errors: list[str] = []
        self.loaded: Loaded | None = None
        register: Any = self.register_load_state_dict_post_hook  # untyped in torch
        register(_Root._record_outcome)
        self._outermost = (
            None if loading.prefix else (module,)
        )  # in a tuple, lest it become a child
        if loading.prefix:
            # The whole prefix is the one child's name; add_module() would refuse the dots.
            children_of(self)[loading.prefix.removesuffix(".")] = module
        else:
            vars(self).update(with_children(children_of(module)))

    def _load_from_state_dict(self, *args: Any) -> None:
        *_, missing, unexpected, self._errors = args
        missing += self._loading.missing
        unexpected += self._loading.unexpected
        for module in self._outermost or ():
            load_own_entries(module, *args)

    def _record_outcome(self, keys: Any) -> None:
        for module in self._outermost or ():
            for hook in load_post_hooks(module):
                hook(module, keys)
        # The caller's own walk reports the errors, with those of its other children.
        self.loaded = Loaded(
            list(keys.missing_keys), list(keys.unexpected_keys), list(self._errors)
        )
        self._errors.clear()


def _own_copy(value: Any, device: torch.device | None) -> Any:
    """A copy to keep, on the device of the value that it replaces: all tensors arrive on the CPU."""
    if not isinstance(value, torch.Tensor) or nn.parameter.is_lazy(value):
        return value
    own = value.detach().clone()
    if device is not None and "meta" not in (device.type, own.device.type):
        own = own.to(device)
    return nn.Parameter(own, value.requires_grad) if isinstance(value, nn.Parameter) else own
