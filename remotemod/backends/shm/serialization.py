"""Requests and answers as codec values, with references and remote modules packed for their receiver."""

from __future__ import annotations

import ctypes
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from remotemod.autograd.owner import Recorded
from remotemod.backends.shm.frames import FAILURE, VALUE, Message
from remotemod.errors import ProtocolError, RemoteModError
from remotemod.handles.module import RemoteModule
from remotemod.owner.owner import Owner, Peer
from remotemod.requests import (
    Adopt,
    Build,
    Call,
    Invoke,
    Load,
    Release,
    Request,
    Retain,
)
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.ref import RemoteRef
from remotemod.torch_compat.script import recursive_class
from remotemod.wire.codec import Codec, Extension
from remotemod.wire.failure import pack_failure, unpack_failure
from remotemod.wire.fast_path import Buffer, unpack_value

__all__ = ["decode_answer", "decode_request", "encode_failure", "encode_request", "make_codec"]

_VERBS: tuple[type[Any], ...] = (Call, Invoke, Build, Load, Release, Retain, Adopt)
_FIELD = re.compile(r"^value\[(\d+)\]")
_CODES = {verb: code for code, verb in enumerate(_VERBS)}


def _tensors_over(buffers: Sequence[Buffer]) -> list[Tensor]:
    """The codec's frames."""
    return [
        torch.frombuffer(buffer, dtype=torch.uint8)
        if len(buffer)
        else torch.empty(0, dtype=torch.uint8)
        for buffer in buffers
    ]


def encode_request(codec: Codec, request: Request) -> tuple[bytes, list[Any]]:
    """A request as header and frames.

    Raises:
        ProtocolError: a value in it cannot travel; the message names it by its place in the call.
    """
    try:
        return codec.encode((_CODES[type(request)], *request))
    except ProtocolError as error:
        named = _FIELD.sub(lambda found: request._fields[int(found[1]) - 1], str(error), count=1)
        raise ProtocolError(named) from error.__cause__


def decode_request(codec: Codec, message: Message) -> Request:
    """The request in a message."""
    code, *fields = codec.decode(message.header, _tensors_over(message.frames))
    request: Request = _VERBS[code](*fields)
    return request


def encode_failure(codec: Codec, error: BaseException, worker: str) -> tuple[bytes, list[Any]]:
    """An exception as header and frames."""
    return codec.encode(pack_failure(error, worker, codec))


def decode_answer(
    codec: Codec, message: Message, graph: Callable[[int], Any]
) -> tuple[Any, BaseException | None]:
    """The answer in a message: ``(value, None)`` or ``(None, what was raised)``.

    Args:
        codec: the connection's.
        message: the answer.
        graph: makes a reference of a kept graph's number.
    """
    kept = graph(message.endpoint) if message.endpoint else None
    try:
        if message.kind == VALUE:
            value = unpack_value(message.header, message.frames)
        else:
            value = codec.decode(message.header, _tensors_over(message.frames))
            if message.kind == FAILURE:
                return None, unpack_failure(value, codec)
    except Exception as error:
        # An answer that cannot be read must not take the reader down with it.
        return None, error
    return (value if kept is None else Recorded(value, kept)), None


def make_codec(
    *,
    receiver: str,
    cluster: Callable[[], Cluster],
    owner: Owner | None,
    peer: Peer | None,
) -> Codec:
    """A codec for one connection between processes of one user.

    Args:
        receiver: the worker at the other end; empty where the other end is only a caller.
        cluster: the cluster through which received references reach their owners.
        owner: this process's own owner, on workers.
        peer: what the owner keeps for the other end, on the serving side.
    """

    def pack_ref(ref: RemoteRef[Any]) -> tuple[str, int, str, str]:
        if ref._local is not None:
            return _pack_own(ref, peer)
        if ref.owner_name() == receiver:
            return ref.owner_name(), ref._id, ref.type_name(), ""
        token = uuid.uuid4().hex
        assert ref._cluster is not None
        ref._cluster.call(ref.owner_name(), Retain(ref._id, token))
        return ref.owner_name(), ref._id, ref.type_name(), token

    def unpack_ref(packed: tuple[str, int, str, str]) -> RemoteRef[Any]:
        name, ref, kind, token = packed
        if owner is not None and owner.name == name:
            return owner.handle_on(ref, token)
        found = cluster()
        if token:
            found.post(name, Adopt(ref, token))
        return RemoteRef(name, ref, kind, found)

    def unpack_module(packed: Any) -> RemoteModule:
        return RemoteModule._from_packed(packed, cluster())

    return Codec(
        code=True,
        extensions=(
            Extension(RemoteRef, "ref", pack_ref, unpack_ref),
            Extension(RemoteModule, "module", RemoteModule._packed, unpack_module),
            *(
                Extension(cls, "scripted", _pack_scripted, _unpack_scripted)
                for cls in recursive_class()
            ),
        ),
    )


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


def _pack_own(ref: RemoteRef[Any], peer: Peer | None) -> tuple[str, int, str, str]:
    """A reference that this process owns, on its way to somebody else."""
    owner = ref._local
    assert owner is not None
    if not owner.reachable:
        raise RemoteModError(
            f"{ref!r} lives in the calling process, which serves nobody: "
            "build the module on a worker of the cluster to share it"
        )
    owner.retain(ref._id)
    if peer is not None:
        peer.hold(ref._id)
        return owner.name, ref._id, ref.type_name(), ""
    token = uuid.uuid4().hex
    owner.tokens.add((ref._id, token))
    return owner.name, ref._id, ref.type_name(), token
