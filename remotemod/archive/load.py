"""Load a model with remote submodules, which are looked up on the cluster before anything is called."""

from __future__ import annotations

import functools
import io
import itertools
import os
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import torch
from torch import nn

from remotemod.archive.manifest import Manifest, SavedSubmodule, read_manifest
from remotemod.archive.operators import define_for
from remotemod.errors import ArchiveError, InterfaceMismatch, PlacementError
from remotemod.handles.client import Client
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.members import client_of, own_client, reference_of, set_reference
from remotemod.handles.module import RemoteModule
from remotemod.handles.named import find_named
from remotemod.owner.inproc import process_cluster
from remotemod.process import Slot, slot
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import current_cluster
from remotemod.stub.declaration import Declaration
from remotemod.stub.loader import StubName
from remotemod.stub.versions import STUB_ABI
from remotemod.torch_compat.script import is_script_module, jit, without_advice

__all__ = ["load"]

_NUMBERS: Slot[itertools.count[int]] = slot(
    "numbers submodules of one name", lambda: itertools.count(1)
)


class _Resolved(NamedTuple):
    """A remote submodule, its client, and the string by which this process's operators find it."""

    submodule: SavedSubmodule
    client: Client
    ref: str


def load(
    path: str | os.PathLike[str] | IO[bytes],
    *,
    parts: Mapping[str, nn.Module] | None = None,
    map_location: Any = None,
    cluster: Cluster | None = None,
) -> torch.jit.ScriptModule:
    """Load what :func:`remotemod.export` saved, in any process that has a cluster with its remote submodules.

    The code of the model, of its interfaces and of its remote submodules is not needed.

    Args:
        path: the file, or an object to read bytes from.
        parts: other remote modules for some of the names in the file.
        map_location: the device of the model's own parameters, as for ``torch.jit.load``.
        cluster: the cluster of the remote submodules; by default the current one.

    Returns:
        The scripted model; gradients flow through it, into its remote submodules as well.

    Raises:
        PlacementError: some submodules are not on the cluster; all of them are named.
        InterfaceMismatch: a submodule has another interface than the model was exported with, or the file is for another
            version of remotemod.
        ArchiveError: the file is no TorchScript archive, or a damaged one.
        OSError: there is no such file.
    """
    file = path if isinstance(path, (str, os.PathLike)) else io.BytesIO(path.read())
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else "the archive"
    try:
        manifest = read_manifest(file) or Manifest()
        resolved = _resolve_all(manifest, dict(parts or {}), cluster)
        define_for(manifest)
    except ArchiveError as error:
        raise ArchiveError(f"{name}: {error}") from error
    except InterfaceMismatch as error:
        raise InterfaceMismatch(f"{name}: {error}") from error
    except PlacementError as error:
        raise PlacementError(f"{name}: {error}") from error
    model = _scripted(file, name, map_location)
    for submodule, client, ref in resolved:
        DIRECTORY.keep(ref, client, looked_up=isinstance(client.stub, StubName))
        if ref != submodule.name:
            for path_in_model in submodule.submodules:
                set_reference(_submodule(model, path_in_model), ref)
    loaded: torch.jit.ScriptModule = model
    return loaded


def _submodule(model: Any, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), model) if path else model


def _scripted(file: Any, name: str, map_location: Any) -> Any:
    if not isinstance(file, (str, os.PathLike)):
        file.seek(0)
    # Torch's own function: the operators are defined already.
    read = jit().load
    if hasattr(read, "_remotemod"):
        read = read.__wrapped__
    try:
        with without_advice():
            return read(file, map_location=map_location)
    except (RuntimeError, UnicodeDecodeError) as error:
        if "Unknown builtin op: remotemod_" in str(error):
            raise ArchiveError(
                f"{name}: its remote parts were saved by torch.jit.save, which leaves out what is needed to call them; "
                "save the model by rm.export"
            ) from error
        raise ArchiveError(f"{name}: torch cannot load it: {error}") from error


# --- finding submodules ------------------------------------------------------------------------


def _resolve_all(
    manifest: Manifest, given: dict[str, nn.Module], cluster: Cluster | None
) -> list[_Resolved]:
    """Resolve all remote submodules; one error names all that are missing, or all that do not fit."""
    unknown = sorted(given.keys() - {submodule.name for submodule in manifest.parts})
    if unknown:
        names = ", ".join(repr(submodule.name) for submodule in manifest.parts) or "none"
        raise ArchiveError(
            f"parts= names {', '.join(map(repr, unknown))}, but the model has {names}"
        )
    resolved, missing, misfits = [], [], []
    for submodule in manifest.parts:
        handle = given.get(submodule.name)
        if handle is None:
            entry = _look_up(submodule, cluster)
        else:
            entry = _resolve_handle(submodule, handle)
        if entry is None:
            missing.append(submodule)
            continue
        misfit = _misfit(submodule, entry.client.stub.declaration, entry.client.worker)
        if misfit:
            misfits.append(misfit)
        resolved.append(entry)
    if missing:
        raise PlacementError(_missing(missing, cluster))
    if misfits:
        raise InterfaceMismatch("; ".join(misfits))
    return resolved


def _clusters(cluster: Cluster | None) -> list[Cluster]:
    first = cluster or current_cluster()
    return [process_cluster()] if first is None else [first, process_cluster()]


def _look_up(submodule: SavedSubmodule, cluster: Cluster | None) -> _Resolved | None:
    for candidate in _clusters(cluster):
        module = find_named(candidate, submodule.name)
        if module is not None:
            ref = _reference(submodule.name, candidate)
            return _Resolved(submodule, Client(candidate, module), ref)
    return None


def _reference(name: str, cluster: Cluster) -> str:
    """The name, unless this process uses it for another cluster's module: two clusters may have modules of one name."""
    client: Any = DIRECTORY.known(name)
    if client is None or client.cluster is cluster:
        return name
    return f"{name} ({next(_NUMBERS.value)})"


def _resolve_handle(submodule: SavedSubmodule, handle: Any) -> _Resolved:
    client: Client | None = None
    if isinstance(handle, RemoteModule) and handle.is_scriptable:
        client = own_client(handle)
        DIRECTORY.announce(reference_of(handle), client)
    elif is_script_module(handle):
        client = client_of(handle)
    if client is None:
        raise ArchiveError(
            f"parts= has for '{submodule.name}' a {type(handle).__name__} {handle!r:.60}; give a remote module with the "
            f"interface {submodule.source}"
        )
    return _Resolved(submodule, client, reference_of(handle))


def _misfit(submodule: SavedSubmodule, present: Declaration, worker: str) -> str | None:
    if present.abi != STUB_ABI:
        return (
            f"the part '{submodule.name}' on '{worker}' runs stub ABI {present.abi}, and this remotemod ABI {STUB_ABI}: install "
            "the same version on both sides"
        )
    if present.digest == submodule.digest:
        return None
    return (
        f"the part '{submodule.name}' ({_places(submodule)}) was exported with the interface {submodule.source}, digest {submodule.digest}, "
        f"and what '{worker}' has by that name has {present.interface}, digest {present.digest}. If the new one is right, export "
        f"the model again; if not, build the part with rm.RemoteModule(…, name='{submodule.name}', interface=…) as it was"
    )


def _missing(submodules: list[SavedSubmodule], cluster: Cluster | None) -> str:
    searched = cluster or current_cluster()
    where = "there is no current cluster" if searched is None else f"{searched!r} has"
    lines = []
    for submodule in submodules:
        build = f"rm.RemoteModule('{submodule.worker}/{submodule.device}', …, interface={submodule.source.partition(':')[2]}, name='{submodule.name}')"
        hint = (
            f"build it there: {build}"
            if submodule.named
            else (
                "its name was made by the process that built it, and goes with it: build it with name=…, and export again"
            )
        )
        lines.append(
            f"\n  '{submodule.name}' ({_places(submodule)}, was on '{submodule.worker}'); {hint}"
        )
    none = "" if searched is None else " none of"
    count = "a remote part is" if len(submodules) == 1 else f"{len(submodules)} remote parts are"
    return (
        f"{count} missing: {where}{none}{''.join(lines)}\n"
        "  Open the cluster on which they live first (rm.connect, rm.launch), or give others: parts={'name': handle}"
    )


def _places(submodule: SavedSubmodule) -> str:
    places = ", ".join(f"'{path}'" for path in submodule.submodules if path)
    return f"submodule {places}" if places else "the model itself"
