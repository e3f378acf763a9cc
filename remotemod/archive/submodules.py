"""Find a model's remote submodules, and make the form of the model that can be saved."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from remotemod.errors import ArchiveError, InterfaceError
from remotemod.handles.client import Client
from remotemod.handles.members import (
    client_of,
    has_own_name,
    operator_class,
    own_client,
    reference_of,
    set_client,
)
from remotemod.handles.module import RemoteModule
from remotemod.torch_compat.modules import children_of, with_children
from remotemod.torch_compat.script import is_script_module, python_class_of

__all__ = ["RemoteSubmodule", "find_submodules", "portable"]


class RemoteSubmodule(NamedTuple):
    """A remote submodule of a model.

    Attributes:
        paths: its paths in the model ("" is the model itself).
        ref: the string by which operators find it.
        client: its client.
        named: whether its user chose the name.
    """

    paths: tuple[str, ...]
    ref: str
    client: Client
    named: bool


def find_submodules(model: nn.Module) -> list[RemoteSubmodule]:
    """The remote submodules of a model, each name once.

    Raises:
        InterfaceError: one of them has no TorchScript interface.
        ArchiveError: a scripted submodule reaches its module by a reference, which no file can hold.
    """
    by_ref: dict[str, RemoteSubmodule] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        client: Client | None = None
        if isinstance(module, RemoteModule):
            _check_interface(path, module)
            client = client_of(module)
        elif is_script_module(module):
            client = client_of(module)
            if client is None and _was_remote(module):
                raise ArchiveError(
                    f"{_where(path)} is a remote part that was loaded from an archive: copy that file, or export the model "
                    "that it was made of"
                )
            if client is not None and operator_class(python_class_of(module)) is not None:
                raise ArchiveError(
                    f"{_where(path)} was scripted for '{client.cluster.backend}', which reaches it by a reference that no file can hold; "
                    "export the model as it was before torch.jit.script"
                )
        if client is None:
            continue
        ref = reference_of(module)
        earlier = by_ref.get(ref)
        paths = (path,) if earlier is None else (*earlier.paths, path)
        by_ref[ref] = RemoteSubmodule(paths, ref, client, has_own_name(module))
    return list(by_ref.values())


def _check_interface(path: str, module: RemoteModule) -> None:
    if not module.is_scriptable:
        raise InterfaceError(
            f"{_where(path)}, a remote module on '{module.on}', cannot be saved: it was built without a TorchScript "
            "interface",
            how="pass interface=<a class decorated with @torch.jit.interface> to rm.RemoteModule, and annotate the "
            "submodule with it",
        )


def _was_remote(module: Any) -> bool:
    return all(hasattr(module, name) for name in ("_ref", "_named", "is_device_map_set"))


def _where(path: str) -> str:
    return f"the submodule '{path}'" if path else "the model"


def portable(model: nn.Module) -> nn.Module:
    """A copy of the model that TorchScript can save, with other handles on its remote submodules; the model stays as it is."""
    return _portable(model, {})


def _portable(module: nn.Module, done: dict[int, nn.Module]) -> nn.Module:
    key = id(module)
    if key in done:
        return done[key]
    if isinstance(module, RemoteModule):
        done[key] = _twin(module)
    elif is_script_module(module) or not _has_remote_submodules(module):
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
    cls = operator_class(type(module)) or type(module)
    twin: RemoteModule = RemoteModule.__new__(cls)
    vars(twin).update(vars(module))
    object.__setattr__(twin, "_is_portable", True)
    set_client(twin, own_client(module))
    return twin


def _has_remote_submodules(module: nn.Module) -> bool:
    return any(isinstance(inner, RemoteModule) for inner in module.modules())
