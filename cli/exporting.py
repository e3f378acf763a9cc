"""The export command: launch workers, build the model, save it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remotemod.errors import RemoteModError
from remotemod.hints import did_you_mean
from remotemod.objects import ObjectNotFound, attribute

from . import output as terminal

if TYPE_CHECKING:
    from remotemod.archive.manifest import SavedSubmodule

__all__ = ["run"]


def run(target: str, output: Path, workers: str | None, backend: str | None) -> int:
    """Export, print, and return the exit status."""
    import torch

    import remotemod as rm

    try:
        factory = _factory(target)
        with contextlib.ExitStack() as stack:
            if workers is not None:
                names = [name.strip() for name in workers.split(",")]
                options = {} if backend is None else {"backend": backend}
                stack.enter_context(rm.launch(workers=names, **options))
            model = factory()
            if not isinstance(model, torch.nn.Module):
                raise RemoteModError(
                    f"{target} returned a {type(model).__name__}; it must return the model, an nn.Module"
                )
            parts = rm.export(model, output)
    except (RemoteModError, OSError) as error:
        terminal.error(error if isinstance(error, RemoteModError) else str(error))
        if "there is no cluster" in str(error):
            terminal.error(
                f"or let this command launch one: remotemod export {target} --workers ps0"
            )
        return 1
    except RuntimeError as error:
        terminal.error(f"TorchScript does not take the model: {error}")
        return 1
    _print(output, parts)
    return 0


def _factory(target: str) -> Any:
    """The function or class that a target names; it is called without arguments."""
    place, colon, qualname = target.rpartition(":")
    if not colon or not place or not qualname:
        raise RemoteModError(
            f"{target!r} names no factory; give pkg.mod:factory or path/to/file.py:factory"
        )
    try:
        factory = attribute(_module(place), qualname)
    except ObjectNotFound as error:
        hint = did_you_mean(error.missing, error.names, lead="; ")
        raise RemoteModError(f"{place} has no '{qualname}'{hint}") from None
    if not callable(factory):
        raise RemoteModError(
            f"{target} is a {type(factory).__name__}; name a function without arguments that returns the model"
        )
    return factory


def _module(place: str) -> Any:
    path = Path(place)
    if place.endswith(".py"):
        if not path.is_file():
            raise RemoteModError(f"there is no file {place}")
        # Under its own name, so that workers can import its classes as this process does.
        sys.path.insert(0, str(path.resolve().parent))
        place = path.stem
    elif os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{place}.".startswith(f"{error.name}."):
            raise RemoteModError(
                f"there is no module '{error.name}'; run the command where `import {place}` works, or name the file"
            ) from None
        raise


def _print(output: Path, parts: Sequence[SavedSubmodule]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = terminal.stdout()
    if parts:
        table = Table(box=None, pad_edge=False)
        for heading in ("submodule", "name", "worker", "interface", "digest"):
            table.add_column(heading, overflow="fold")
        for part in parts:
            places = ", ".join(path or "(the model)" for path in part.submodules)
            name = part.name if part.named else f"{part.name} (while its process runs)"
            cells = (places, name, f"{part.worker}/{part.device}", part.source, part.digest)
            table.add_row(*map(Text, cells))
        console.print(table)
    count = f"{len(parts)} remote part{'' if len(parts) == 1 else 's'}"
    console.print(f"wrote {output}: {count}", markup=False)
