"""The weights of a module in a safetensors file: the owner's half of a handle's ``save`` and ``load``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from remotemod.owner.module_functions import remote_module
from remotemod.owner.owner import current_owner
from remotemod.owner.safetensors_file import CODES, Contents, opened, written
from remotemod.rpc.ref import RemoteRef

__all__ = ["load", "save"]

_INSTEAD = "take state_dict() and torch.save() for this module"


def save(ref: RemoteRef[nn.Module], path: str) -> None:
    """Write the module's weights; tied ones once, as ``safetensors.torch.save_model`` does."""
    state = remote_module(ref).state_dict()
    for key, value in state.items():
        _check_can_be_held(key, value)
    first_keys: dict[Any, str] = {}
    aliases: dict[str, str] = {}
    for key in sorted(state):
        first = first_keys.setdefault(_identity(key, state[key]), key)
        if first != key:
            aliases[key] = first
    tensors = {key: value.detach() for key, value in state.items() if key not in aliases}
    try:
        written(path, tensors, aliases)
    except OSError as error:
        raise _naming_worker(error, path, "save the weights to") from error


def load(ref: RemoteRef[nn.Module], path: str, strict: bool) -> tuple[list[str], list[str]]:
    """Copy a file's tensors into the module; return missing and unexpected keys."""
    module = remote_module(ref)
    state = module.state_dict(keep_vars=True)
    try:
        with opened(path) as file:
            return _load(file, path, module, state, strict)
    except OSError as error:
        raise _naming_worker(error, path, "load the weights from") from error


def _load(
    file: Contents, path: str, module: nn.Module, state: dict[str, Any], strict: bool
) -> tuple[list[str], list[str]]:
    sources = {name: name for name in file.entries}
    for alias, name in file.metadata.items():
        if alias in state and name in sources:
            sources.setdefault(alias, name)
    shared = [name for name in state if name in sources]
    loaded = {_identity(name, state[name]) for name in shared}
    missing = [
        name for name in state if name not in sources and _identity(name, state[name]) not in loaded
    ]
    unexpected = [name for name in sources if name not in state]
    faults = []
    if strict and missing:
        faults.append(f"the file lacks {_listed(missing)}")
    if strict and unexpected:
        faults.append(f"the module has no {_listed(unexpected)}")
    members = {id(m) for m in itertools.chain(module.parameters(), module.buffers())}
    for name in shared:
        faults += _faults(name, state[name], file.entries[sources[name]], members)
    if faults:
        raise RuntimeError(
            f"{path!r} does not fit the {type(module).__name__} on worker '{_worker()}': "
            f"{'; '.join(faults)}. Nothing was loaded"
        )
    copied: set[Any] = set()
    for name in shared:
        identity = _identity(name, state[name])
        if identity not in copied:  # a tied one is loaded already
            copied.add(identity)
            _copy(state[name], file, sources[name])
    return missing, unexpected


@torch.no_grad()
def _copy(target: Tensor, file: Contents, name: str) -> None:
    for piece, values in file.read(name, target.dtype):
        # Torch's own copy, so that autograd counts the change.
        target[piece].copy_(values)


def _identity(name: str, value: Any) -> Any:
    """A key that is equal for two names of one tensor."""
    if not isinstance(value, Tensor) or nn.parameter.is_lazy(value) or not value.numel():
        return name
    if value.layout is not torch.strided or value.is_quantized or value.is_meta:
        return name
    return value.device, value.data_ptr(), value.dtype, value.shape, value.stride()


def _check_can_be_held(key: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        what = f"is a {type(value).__name__} and no tensor (extra state)"
    elif nn.parameter.is_lazy(value):
        what = "has no values yet: the module is lazy, and nothing was computed with it"
    elif value.layout is not torch.strided or value.is_nested:
        what = "is nested" if value.is_nested else f"is sparse ({value.layout})"
    elif value.is_meta:
        what = "is on the meta device and has no values"
    elif value.dtype not in CODES:
        what = f"has the dtype {value.dtype}"
    else:
        return
    raise ValueError(
        f"the weights on worker '{_worker()}' cannot be saved: '{key}' {what}, which a safetensors "
        f"file cannot hold; {_INSTEAD}"
    )


def _faults(name: str, target: Any, source: dict[str, Any], members: set[int]) -> Iterable[str]:
    if not isinstance(target, Tensor) or id(target) not in members:
        yield (
            f"'{name}' is neither a parameter nor a buffer here but made by a hook or an extra state, "
            "so that only load_state_dict() can load it"
        )
        return
    if nn.parameter.is_lazy(target) or target.is_meta:
        yield f"'{name}' has no memory here yet (it is lazy, or on the meta device)"
        return
    shape, code = tuple(source["shape"]), source["dtype"]
    if shape != tuple(target.shape):
        yield f"'{name}' has the shape {shape} in the file and {tuple(target.shape)} here"
    if target.layout is not torch.strided or CODES.get(target.dtype) != code:
        own = target.dtype if target.layout is torch.strided else target.layout
        yield (
            f"'{name}' is {code} in the file and {own} here (convert the module first, "
            "or use load_state_dict(), which converts)"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(f"'{name}'" for name in names[:10]) + more


def _worker() -> str:
    owner = current_owner()
    return owner.name if owner is not None else "?"


def _naming_worker(error: OSError, path: str, what: str) -> OSError:
    """The same kind of error, which names the worker and the file."""
    text = f"cannot {what} a file on the machine of worker '{_worker()}': {error.strerror or error}"
    return OSError(error.errno or 0, text, path)
