"""Load a model with remote parts; they are found on the cluster before anything is called."""

from __future__ import annotations

import functools
import io
import itertools
import os
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import torch
from torch import nn

from remotemod.archive.manifest import ArchivePart, Manifest, read_manifest
from remotemod.archive.operators import define_for
from remotemod.errors import ArchiveError, InterfaceMismatch, PlacementError
from remotemod.handles.client import Client
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.module import RemoteModule
from remotemod.handles.named import find_named
from remotemod.owner.inproc import process_cluster
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import current_cluster
from remotemod.stub.declaration import Declaration
from remotemod.stub.loader import StubName
from remotemod.stub.versions import STUB_ABI
from remotemod.torch_compat.script import is_script_module, jit, without_advice

__all__ = ["load"]

_NUMBERS = itertools.count(1)


class _Way(NamedTuple):
    """Where a part leads, and the string by which this process's operators find it."""

    submodule: ArchivePart
    client: Client
    ref: str


def load(
    path: str | os.PathLike[str] | IO[bytes],
    *,
    parts: Mapping[str, nn.Module] | None = None,
    map_location: Any = None,
    cluster: Cluster | None = None,
) -> torch.jit.ScriptModule:
    """Load what :func:`remotemod.export` saved, in any process that has a cluster with its remote parts.

    The code of the model, of its interfaces and of its remote parts is not needed here.

    Args:
        path: the file, or something to read bytes from.
        parts: other remote modules for some of the names in the file.
        map_location: the device of the model's own parameters, as for ``torch.jit.load``.
        cluster: where the remote parts are; by default the current cluster.

    Returns:
        The scripted model; gradients flow through it, into its remote parts as well.

    Raises:
        PlacementError: some parts are not on the cluster; all of them are named.
        InterfaceMismatch: a part has another interface than the model was exported with, or the file is for another
            version of remotemod.
        ArchiveError: the file is no TorchScript archive, or a damaged one.
        OSError: there is no such file.
    """
    file = path if isinstance(path, (str, os.PathLike)) else io.BytesIO(path.read())
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else "the archive"
    try:
        manifest = read_manifest(file) or Manifest()
        ways = _ways(manifest, dict(parts or {}), cluster)
        define_for(manifest)
    except ArchiveError as error:
        raise ArchiveError(f"{name}: {error}") from error
    except InterfaceMismatch as error:
        raise InterfaceMismatch(f"{name}: {error}") from error
    except PlacementError as error:
        raise PlacementError(f"{name}: {error}") from error
    model = _scripted(file, name, map_location)
    for way in ways:
        DIRECTORY.keep(way.ref, way.client, looked_up=isinstance(way.client.stub, StubName))
        if way.ref != way.submodule.name:
            for submodule in way.submodule.submodules:
                _submodule(model, submodule)._ref = way.ref
    loaded: torch.jit.ScriptModule = model
    return loaded


def _submodule(model: Any, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), model) if path else model


def _scripted(file: Any, name: str, map_location: Any) -> Any:
    if not isinstance(file, (str, os.PathLike)):
        file.seek(0)
    # Ours has nothing to add any more: the operators are defined.
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


# --- finding the parts ------------------------------------------------------------------------


def _ways(manifest: Manifest, given: dict[str, nn.Module], cluster: Cluster | None) -> list[_Way]:
    """The ways to all parts; raises for all that are missing, or do not fit, at once."""
    unknown = sorted(given.keys() - {submodule.name for submodule in manifest.parts})
    if unknown:
        known = ", ".join(repr(submodule.name) for submodule in manifest.parts) or "none"
        raise ArchiveError(
            f"parts= names {', '.join(map(repr, unknown))}, but the model has {known}"
        )
    ways, missing, misfits = [], [], []
    for submodule in manifest.parts:
        handle = given.get(submodule.name)
        way = _find(submodule, cluster) if handle is None else _way_of_handle(submodule, handle)
        if way is None:
            missing.append(submodule)
            continue
        misfit = _misfit(submodule, way.client.stub.declaration, way.client.worker)
        if misfit:
            misfits.append(misfit)
        ways.append(way)
    if missing:
        raise PlacementError(_missing(missing, cluster))
    if misfits:
        raise InterfaceMismatch("; ".join(misfits))
    return ways


def _clusters(cluster: Cluster | None) -> list[Cluster]:
    found = cluster or current_cluster()
    return [process_cluster()] if found is None else [found, process_cluster()]


def _find(submodule: ArchivePart, cluster: Cluster | None) -> _Way | None:
    for each in _clusters(cluster):
        found = find_named(each, submodule.name)
        if found is not None:
            return _Way(submodule, Client(each, found), _reference(submodule.name, each))
    return None


def _reference(name: str, cluster: Cluster) -> str:
    """The part's name, if that leads nowhere else in this process: two clusters may have parts of one name."""
    known: Any = DIRECTORY.known(name)
    if known is None or known.cluster is cluster:
        return name
    return f"{name} ({next(_NUMBERS)})"


def _way_of_handle(submodule: ArchivePart, handle: Any) -> _Way:
    client: Client | None = None
    if isinstance(handle, RemoteModule) and handle.is_scriptable:
        client = handle._client
        DIRECTORY.announce(handle._ref, handle._client)
    elif is_script_module(handle):
        client = handle.__dict__.get("_client")
    if client is None:
        raise ArchiveError(
            f"parts= has for '{submodule.name}' a {type(handle).__name__} {handle!r:.60}; give a remote module with the "
            f"interface {submodule.source}"
        )
    return _Way(submodule, client, handle._ref)


def _misfit(submodule: ArchivePart, here: Declaration, worker: str) -> str | None:
    if here.abi != STUB_ABI:
        return (
            f"the part '{submodule.name}' on '{worker}' runs stub ABI {here.abi}, and this remotemod ABI {STUB_ABI}: install "
            "the same version on both sides"
        )
    if here.digest == submodule.digest:
        return None
    return (
        f"the part '{submodule.name}' ({_places(submodule)}) was exported with the interface {submodule.source}, digest {submodule.digest}, "
        f"and what '{worker}' has by that name has {here.interface}, digest {here.digest}. If the new one is right, export "
        f"the model again; if not, build the part with rm.RemoteModule(…, name='{submodule.name}', interface=…) as it was"
    )


def _missing(parts: list[ArchivePart], cluster: Cluster | None) -> str:
    found = cluster or current_cluster()
    where = "there is no current cluster" if found is None else f"{found!r} has"
    lines = []
    for submodule in parts:
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
    none = "" if found is None else " none of"
    count = "a remote part is" if len(parts) == 1 else f"{len(parts)} remote parts are"
    return (
        f"{count} missing: {where}{none}{''.join(lines)}\n"
        "  Open the cluster on which they live first (rm.connect, rm.launch), or give others: parts={'name': handle}"
    )


def _places(submodule: ArchivePart) -> str:
    places = ", ".join(f"'{path}'" for path in submodule.submodules if path)
    return f"submodule {places}" if places else "the model itself"
