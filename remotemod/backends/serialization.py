"""The codec of messages between processes of one user: references, handles and scripted modules in any value."""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Callable
from typing import Any

import torch

from remotemod.errors import ProtocolError, RemoteModError
from remotemod.handles.module import RemoteModule
from remotemod.handles.packing import pack_handle, unpack_handle
from remotemod.owner.owner import Owner
from remotemod.owner.session import Session
from remotemod.requests import Adopt, Retain
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.ref import Keeper, RemoteRef
from remotemod.torch_compat.script import recursive_class
from remotemod.wire.codec import Codec, Extension

__all__ = ["make_codec"]


def make_codec(
    *,
    receiver: str,
    cluster: Callable[[], Cluster],
    owner: Owner | None,
    session: Session | None,
) -> Codec:
    """A codec for one connection between processes of one user.

    Args:
        receiver: the worker at the other end; empty where the other end is only a caller.
        cluster: the cluster through which received references reach their owners.
        owner: this process's own owner, on workers.
        session: the session of the other end, on the worker's side.
    """

    def pack_ref(ref: RemoteRef[Any]) -> tuple[str, int, str, str]:
        if ref.keeper is not None:
            return _pack_own(ref, ref.keeper, session)
        if ref.owner_name() == receiver:
            return ref.owner_name(), ref.number, ref.type_name(), ""
        token = uuid.uuid4().hex
        assert ref.cluster is not None
        ref.cluster.call(ref.owner_name(), Retain(ref.number, token))
        return ref.owner_name(), ref.number, ref.type_name(), token

    def unpack_ref(packed: tuple[str, int, str, str]) -> RemoteRef[Any]:
        name, number, kind, token = packed
        if owner is not None and owner.name == name:
            return owner.handle_on(number, token)
        reaching = cluster()
        if token:
            reaching.post(name, Adopt(number, token))
        return RemoteRef(name, number, kind, reaching)

    def unpack_module(packed: Any) -> Any:
        return unpack_handle(packed, cluster())

    return Codec(
        code=True,
        extensions=(
            Extension(RemoteRef, "ref", pack_ref, unpack_ref),
            Extension(RemoteModule, "module", pack_handle, unpack_module),
            *(
                Extension(cls, "scripted", _pack_scripted, _unpack_scripted)
                for cls in recursive_class()
            ),
        ),
    )


def _pack_own(
    ref: RemoteRef[Any], keeper: Keeper, session: Session | None
) -> tuple[str, int, str, str]:
    """Pack a reference that this process owns, for another process."""
    if not keeper.reachable:
        raise RemoteModError(
            f"{ref!r} lives in the calling process, which serves nobody: "
            "build the module on a worker of the cluster to share it"
        )
    if session is not None:
        keeper.retain(ref.number)
        session.hold(ref.number)
        return keeper.name, ref.number, ref.type_name(), ""
    token = uuid.uuid4().hex
    keeper.retain_for_token(ref.number, token)
    return keeper.name, ref.number, ref.type_name(), token


def _pack_scripted(model: Any) -> torch.Tensor:
    from remotemod.archive.sending import to_bytes  # few models are ever sent

    try:
        return torch.frombuffer(bytearray(to_bytes(model)), dtype=torch.uint8)
    except RuntimeError as error:
        raise ProtocolError(
            f"a scripted {model.original_name} cannot be sent: it cannot be saved: {error}"
        ) from error


def _unpack_scripted(archive: torch.Tensor) -> torch.jit.ScriptModule:
    from remotemod.archive.sending import from_bytes

    return from_bytes(ctypes.string_at(archive.data_ptr(), archive.numel()))
