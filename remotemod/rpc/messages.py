"""Requests and replies as messages: bytes and tensors, which any engine can carry."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Buffer

from remotemod.autograd.owner import Recorded
from remotemod.errors import ProtocolError
from remotemod.requests import (
    Adopt,
    Build,
    Call,
    Differentiate,
    ExtendPath,
    Invoke,
    Load,
    Release,
    Reply,
    Request,
    Retain,
)
from remotemod.wire.codec import Codec
from remotemod.wire.failure import pack_failure, unpack_failure

__all__ = [
    "Message",
    "decode_reply",
    "decode_request",
    "encode_failure",
    "encode_reply",
    "encode_request",
    "recorded",
]

_VERBS: tuple[type[Any], ...] = (
    Call,
    Invoke,
    Build,
    Load,
    Release,
    Retain,
    Adopt,
    Differentiate,
    ExtendPath,
)
_CODES = {verb: code for code, verb in enumerate(_VERBS)}
_FIELD = re.compile(r"^value\[(\d+)\]")
_VALUE = re.compile(r"^value\[1\]")
_COUNTS = struct.Struct("<IQ")  # tensors, bytes of header
_ALIGNMENT = 64


class Message(NamedTuple):
    """A request or a reply as an engine carries it between processes.

    Attributes:
        header: bytes.
        tensors: contiguous CPU tensors of any shape and dtype, whose bytes are sent. The receiver needs writable
            memory of their sizes that nothing else changes: the decoded values lie over it.
    """

    header: bytes
    tensors: list[Tensor]

    def to_bytes(self) -> bytes:
        """The message in one piece, for engines that carry bytes alone."""
        buffers = [tensor.detach().reshape(-1).view(torch.uint8).numpy() for tensor in self.tensors]
        sizes = struct.pack(f"<{len(buffers)}Q", *(buffer.nbytes for buffer in buffers))
        parts: list[Any] = [_COUNTS.pack(len(buffers), len(self.header)), sizes, self.header]
        length = sum(map(len, parts))
        for buffer in buffers:
            padding = -length % _ALIGNMENT
            parts += [bytes(padding), buffer]
            length += padding + buffer.nbytes
        return b"".join(parts)

    @staticmethod
    def from_bytes(data: bytes | bytearray) -> Message:
        """The message of :meth:`to_bytes`; its tensors lie over a copy if ``data`` is read-only.

        Raises:
            ProtocolError: the bytes are no message.
        """
        whole = data if isinstance(data, bytearray) else bytearray(data)
        try:
            count, header_size = _COUNTS.unpack_from(whole)
            sizes = struct.unpack_from(f"<{count}Q", whole, _COUNTS.size)
        except struct.error as error:
            raise ProtocolError(f"a message is damaged: {error}") from error
        start = _COUNTS.size + 8 * count
        end = start + header_size
        header = bytes(whole[start:end])
        tensors = []
        for size in sizes:
            begin = end + -end % _ALIGNMENT
            end = begin + size
            if end > len(whole):
                break
            view = memoryview(whole)[begin:end]
            tensors.append(
                torch.frombuffer(view, dtype=torch.uint8)
                if size
                else torch.empty(0, dtype=torch.uint8)
            )
        if end != len(whole):
            raise ProtocolError(f"a message of {end} bytes arrived with {len(whole)}")
        return Message(header, tensors)


def encode_request(codec: Codec, request: Request) -> Message:
    """A request as a message.

    Raises:
        ProtocolError: a value in it cannot travel; the error names it by its place in the call.
    """
    try:
        return Message(*codec.encode((_CODES[type(request)], *request)))
    except ProtocolError as error:
        text = _FIELD.sub(lambda match: request._fields[int(match[1]) - 1], str(error), count=1)
        raise ProtocolError(text) from error.__cause__


def decode_request(codec: Codec, header: Buffer, tensors: Sequence[Tensor]) -> Request:
    """The request in a message's header and tensors.

    Raises:
        ProtocolError: it is damaged, or names something that this process does not have.
    """
    code, *fields = codec.decode(header, tensors)
    request: Request = _VERBS[code](*fields)
    return request


def encode_reply(codec: Codec, reply: Reply) -> Message:
    """A reply as a message.

    Raises:
        ProtocolError: the value cannot travel.
    """
    try:
        return Message(*codec.encode((None, *reply)))
    except ProtocolError as error:
        raise ProtocolError(_VALUE.sub("value", str(error), count=1)) from error.__cause__


def encode_failure(codec: Codec, error: BaseException, worker: str) -> Message:
    """An exception that a request raised, as a message."""
    return Message(*codec.encode((pack_failure(error, worker, codec),)))


def decode_reply(codec: Codec, message: Message, graph_ref: Callable[[int], Any]) -> Any:
    """The result in a message; :class:`remotemod.autograd.owner.Recorded` where the worker keeps its graph.

    Args:
        codec: the connection's.
        message: the worker's reply.
        graph_ref: makes a reference of a kept graph's number.

    Raises:
        Exception: what the request raised on the worker.
        ProtocolError: the message cannot be decoded.
    """
    failure, *reply = codec.decode(*message)
    if not reply:
        raise unpack_failure(failure, codec)
    return recorded(Reply(*reply), graph_ref)


def recorded(reply: Reply, graph_ref: Callable[[int], Any]) -> Any:
    """The value of a reply; :class:`Recorded` with a reference where there is a graph."""
    return Recorded(reply.value, graph_ref(reply.graph)) if reply.graph else reply.value
