"""Find a model's remote parts, and make the form of the model that can be saved."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from remotemod.errors import ArchiveError, InterfaceError
from remotemod.handles.client import Client
from remotemod.handles.module import RemoteModule
from remotemod.torch_compat.modules import children_of, with_children
from remotemod.torch_compat.script import is_script_module, python_class_of

__all__ = ["Found", "find_submodules", "portable"]


class Found(NamedTuple):
    """A remote part: where it is in the model, what it is found by, how it is reached."""

    submodules: tuple[str, ...]
    ref: str
    client: Client
    named: bool


def find_submodules(model: nn.Module) -> list[Found]:
    """The remote parts of a model, each name once.

    Raises:
        InterfaceError: one of them has no TorchScript interface.
        ArchiveError: the model was scripted with parts that torch's RPC reaches by itself.
    """
    found: dict[str, Found] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        client: Client | None = None
        if isinstance(module, RemoteModule):
            _check_interface(path, module)
            client = module._client
        elif is_script_module(module):
            client = module.__dict__.get("_client")
            if client is None and _was_a_part(module):
                raise ArchiveError(
                    f"{_where(path)} is a remote part that was loaded from an archive: copy that file, or export the model "
                    "that it was made of"
                )
            if client is not None and python_class_of(module)._operator_class is not None:
                raise ArchiveError(
                    f"{_where(path)} was scripted for '{client.cluster.backend}', which reaches it by a reference that no file can hold; "
                    "export the model as it was before torch.jit.script"
                )
        if client is None:
            continue
        handle: Any = module
        ref: str = handle._ref
        known = found.get(ref)
        paths = (path,) if known is None else (*known.submodules, path)
        found[ref] = Found(paths, ref, client, bool(handle._named))
    return list(found.values())


def _check_interface(path: str, module: RemoteModule) -> None:
    if not module.is_scriptable:
        raise InterfaceError(
            f"{_where(path)}, a remote module on '{module.on}', cannot be saved: it was bound without a TorchScript "
            "interface",
            how="pass interface=<a class decorated with @torch.jit.interface> to rm.RemoteModule, and annotate the "
            "submodule with it",
        )


def _was_a_part(module: Any) -> bool:
    return all(hasattr(module, name) for name in ("_ref", "_named", "is_device_map_set"))


def _where(path: str) -> str:
    return f"the submodule '{path}'" if path else "the model"


def portable(model: nn.Module) -> nn.Module:
    """The model as TorchScript can save it: with other handles on its remote parts, its own left as they are."""
    return _portable(model, {})


def _portable(module: nn.Module, done: dict[int, nn.Module]) -> nn.Module:
    key = id(module)
    if key in done:
        return done[key]
    if isinstance(module, RemoteModule):
        done[key] = _twin(module)
    elif is_script_module(module) or not _holds_parts(module):
        done[key] = module
    else:
        twin = done[key] = object.__new__(type(module))
        vars(twin).update(vars(module))
        inner = {
            name: child and _portable(child, done) for name, child in children_of(module).items()
        }
        vars(twin).update(with_children(inner))
    return done[key]


def _twin(module: RemoteModule) -> RemoteModule:
    """Another handle whose scripted form can be saved: it calls by operators, and holds no reference."""
    cls = type(module)._operator_class or type(module)
    twin: RemoteModule = RemoteModule.__new__(cls)
    vars(twin).update(vars(module))
    object.__setattr__(twin, "_is_portable", True)
    object.__setattr__(twin, "_client", module._client)
    return twin


def _holds_parts(module: nn.Module) -> bool:
    return any(isinstance(inner, RemoteModule) for inner in module.modules())
