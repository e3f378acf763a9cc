"""Prepare a plain ``torch.jit.load`` of an archive with remote submodules."""

from __future__ import annotations

import io
import os
from typing import Any

from remotemod.archive.manifest import read_manifest
from remotemod.errors import ArchiveError

__all__ = ["prepare_for"]


def prepare_for(file: Any) -> None:
    """Define the operators of an archive with remote submodules, which are looked up at their first call.

    Every other file is left to torch, which has errors of its own for it.

    Args:
        file: the argument of ``torch.jit.load``: a path, or a file.

    Raises:
        InterfaceMismatch: the archive is for another version of remotemod.
    """
    position = None
    try:
        if not isinstance(file, (str, os.PathLike)):
            if not file.seekable():
                return
            position = file.tell()
        manifest = read_manifest(file)
    except (OSError, ArchiveError, AttributeError, io.UnsupportedOperation):
        return
    finally:
        if position is not None:
            file.seek(position)
    if manifest is not None and manifest.interfaces:
        from remotemod.archive.operators import define_for
        from remotemod.handles.directory import DIRECTORY

        define_for(manifest)
        for submodule in manifest.parts:
            DIRECTORY.look_up_anew(submodule.name)
