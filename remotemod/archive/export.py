"""Save a model with remote submodules in one file that other processes can load."""

from __future__ import annotations

import os
from typing import IO, Any

from torch import nn

from remotemod.archive.describe import describe
from remotemod.archive.manifest import MANIFEST, Manifest, SavedInterface, SavedSubmodule
from remotemod.archive.submodules import RemoteSubmodule, find_submodules, portable
from remotemod.files import replacing
from remotemod.torch_compat.script import compile_script, is_script_module, save_script

__all__ = ["export"]


def export(
    model: nn.Module, path: str | os.PathLike[str] | IO[bytes]
) -> tuple[SavedSubmodule, ...]:
    """Script a model and save it, with all that is needed to call its remote submodules from another process.

    The file is TorchScript's own archive with a few files more; :func:`remotemod.load` reads it, and so does
    ``torch.jit.load`` once remotemod is imported. The remote submodules stay where they are: the file holds their names.

    Args:
        model: a module with remote modules in it, a remote module itself, or either of them scripted. Its remote
            submodules need an interface (``@torch.jit.interface``). It stays as it is.
        path: a file, which is written as a whole or not at all; or an object to write bytes to.

    Returns:
        The remote submodules, as the file names them.

    Raises:
        InterfaceError: a remote submodule has no interface, or one whose values another process cannot make.
        ArchiveError: the model was scripted in a form that no file can hold.
        RuntimeError: TorchScript does not take the model.
        OSError: the file cannot be written; an older one stays as it was.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"rm.export saves an nn.Module; got {type(model).__name__} {model!r:.60}")
    submodules = find_submodules(model)
    manifest, extra = _described(submodules)
    scripted: Any = model
    if not is_script_module(model):
        scripted = compile_script(portable(model))
    files = {MANIFEST: manifest.text(), **extra} if submodules else {}
    if hasattr(path, "write"):
        save_script(scripted, path, _extra_files=files)
    else:
        # Torch calls the archive's inner folder after the file, and the content has the file's own name from the beginning.
        with replacing(os.fspath(path)) as content:
            save_script(scripted, content, _extra_files=files)
    return manifest.parts


def _described(submodules: list[RemoteSubmodule]) -> tuple[Manifest, dict[str, str]]:
    interfaces: dict[str, SavedInterface] = {}
    saved, texts = [], {}
    for submodule in submodules:
        client = submodule.client
        stub = client.loaded
        declared = stub.declaration
        if declared.digest not in interfaces:
            where = f"the submodule '{submodule.paths[0]}'" if submodule.paths[0] else "the model"
            interfaces[declared.digest] = described = describe(stub, where)
            texts[described.stub] = stub.text
        saved.append(
            SavedSubmodule(
                submodule.ref,
                submodule.paths,
                declared.digest,
                declared.interface,
                client.worker,
                client.device,
                declared.methods,
                submodule.named,
            )
        )
    return Manifest(tuple(saved), tuple(interfaces.values())), texts
