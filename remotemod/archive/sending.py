"""Scripted models with remote submodules as archives in memory, for messages to workers."""

from __future__ import annotations

import io

import torch

from remotemod.archive.export import export
from remotemod.archive.plain import prepare_for
from remotemod.torch_compat.script import load_script

__all__ = ["from_bytes", "to_bytes"]


def to_bytes(model: torch.jit.ScriptModule) -> bytes:
    """The archive of a scripted model.

    Raises:
        ArchiveError: it was scripted in a form that no archive can hold.
    """
    file = io.BytesIO()
    export(model, file)
    return file.getvalue()


def from_bytes(archive: bytes) -> torch.jit.ScriptModule:
    """The model, on the CPU; its remote submodules are looked up by their names at their first call."""
    file = io.BytesIO(archive)
    prepare_for(file)
    model: torch.jit.ScriptModule = load_script(file, map_location="cpu")
    return model
