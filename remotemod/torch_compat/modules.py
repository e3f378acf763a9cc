"""Private attributes of ``nn.Module`` and optimizers: members, hooks and the metadata of states."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from remotemod.torch_compat.private import MISSING, Private

__all__ = [
    "COMPILED_CALL",
    "buffers_of",
    "children_of",
    "incompatible_keys",
    "load_own_entries",
    "load_post_hooks",
    "metadata_of",
    "new_state",
    "optimizer_hooks",
    "parameters_of",
    "with_children",
    "with_parameters",
]

COMPILED_CALL = "_compiled_call_impl"
"""The attribute with the call that ``module.compile()`` has compiled; a copy must not have it."""

_PARAMETERS = Private(
    "torch.nn.Module()._parameters",
    relied_on="a module's own parameters by name, asked by everything that walks over parameters",
    without="remote modules cannot be made",
    find=lambda: nn.Module()._parameters,
)
_BUFFERS = Private(
    "torch.nn.Module()._buffers",
    relied_on="a module's own buffers by name, in which recompute=True puts back what forward saw",
    without="recompute=True cannot be used",
    find=lambda: nn.Module()._buffers,
)
_MODULES = Private(
    "torch.nn.Module()._modules",
    relied_on="a module's children by name, None and doubles among them",
    without="states cannot be loaded into remote modules, and models with remote parts cannot be saved",
    find=lambda: nn.Module()._modules,
)
_SAVE_ENTRIES = Private(
    "torch.nn.Module._save_to_state_dict",
    relied_on="what state_dict() asks each module for its own entries with",
    without="a parent's state_dict() has no entries of its remote children",
)
_LOAD_ENTRIES = Private(
    "torch.nn.Module._load_from_state_dict",
    relied_on="what load_state_dict() hands each module its own entries with",
    without="a parent's load_state_dict() does not reach its remote children",
)
_POST_HOOKS = Private(
    "torch.nn.Module()._load_state_dict_post_hooks",
    relied_on="the hooks that run once a state is loaded",
    without="such hooks of a remote module itself do not run",
    find=lambda: nn.Module()._load_state_dict_post_hooks,
)
_METADATA = Private(
    "torch.nn.Module().state_dict()._metadata",
    relied_on="the versions of the modules that a state is of",
    without="states of remote modules carry no versions",
    find=lambda: nn.Module().state_dict()._metadata,  # type: ignore[attr-defined]
)
_INCOMPATIBLE_KEYS = Private(
    "torch.nn.modules.module._IncompatibleKeys",
    relied_on="the class of what load_state_dict() returns",
    without="load() returns a named tuple of its own with the same two fields",
    instead="a named tuple",
)
_OPTIMIZER_HOOKS = {
    when: Private(
        f"torch.optim.Optimizer()._optimizer_{when}_hooks",
        relied_on=f"the hooks of register_{when.removesuffix('_pre').removesuffix('_post')}_{when.rpartition('_')[2]}_hook",
        without="such hooks of a RemoteOptimizer do not run",
        find=functools.partial(
            lambda hooks: getattr(_an_optimizer(), hooks), f"_optimizer_{when}_hooks"
        ),
    )
    for when in ("state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post")
}


def parameters_of(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """A module's own parameters by name: the dict that it keeps."""
    return module._parameters


def with_parameters(parameters: dict[str, nn.Parameter | None]) -> dict[str, Any]:
    """The update of a module's attributes that makes these its parameters."""
    return {"_parameters": parameters}


def buffers_of(module: nn.Module) -> dict[str, torch.Tensor | None]:
    """A module's own buffers by name: the dict that it keeps."""
    return module._buffers


def children_of(module: nn.Module) -> dict[str, nn.Module | None]:
    """A module's children by name: the dict that it keeps."""
    return module._modules


def with_children(children: dict[str, nn.Module | None]) -> dict[str, Any]:
    """The update of a module's attributes that makes this dict its children, later changes included."""
    return {"_modules": children}


def load_own_entries(module: nn.Module, *args: Any) -> None:
    """Pass a module its own entries of a state, as ``load_state_dict()`` does."""
    module._load_from_state_dict(*args)


def load_post_hooks(module: nn.Module) -> Iterable[Callable[..., Any]]:
    """The hooks that run once a module's state is loaded."""
    return module._load_state_dict_post_hooks.values() if _POST_HOOKS.is_here else ()


def new_state(
    entries: Mapping[str, Any] | None = None, versions: Mapping[str, Any] | None = None
) -> Any:
    """A state dict with the versions of its modules."""
    state: Any = OrderedDict(entries or {})
    state._metadata = OrderedDict(versions or {})
    return state


def metadata_of(state: Any) -> Any:
    """The versions of the modules that a state is of; None where it has none."""
    return getattr(state, "_metadata", None)


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


def incompatible_keys(missing: list[str], unexpected: list[str]) -> Any:
    """The result of ``load_state_dict()``."""
    cls = _INCOMPATIBLE_KEYS.found
    return (_Keys if cls is MISSING else cls)(missing, unexpected)


def _an_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.empty(1)], lr=1.0)


def optimizer_hooks(optimizer: torch.optim.Optimizer, when: str) -> list[Callable[..., Any]]:
    """The hooks of an optimizer.

    Args:
        optimizer: the optimizer.
        when: ``state_dict_pre``, ``state_dict_post``, ``load_state_dict_pre`` or ``load_state_dict_post``.
    """
    hooks: Mapping[Any, Callable[..., Any]] = getattr(optimizer, f"_optimizer_{when}_hooks", {})
    return list(hooks.values())
