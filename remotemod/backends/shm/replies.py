"""Packs and unpacks replies: plain values in one buffer, everything else by the codec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from remotemod.backends.shm.protocol import FAILURE, RESULT, VALUE, Message
from remotemod.requests import Reply
from remotemod.rpc.messages import recorded
from remotemod.wire.codec import Codec
from remotemod.wire.failure import pack_failure, unpack_failure
from remotemod.wire.fast_path import Buffer, pack_value, unpack_value

__all__ = ["decode_reply", "encode_failure", "encode_reply", "tensors_over"]

EncodedReply = tuple[int, bytes, list[Tensor], int]
"""The kind of a message, its header and frames, and the number of the graph that is kept of the result."""


def tensors_over(buffers: Sequence[Buffer]) -> list[Tensor]:
    """Tensors over the frames of a message, as the codec takes them."""
    return [
        torch.frombuffer(buffer, dtype=torch.uint8)
        if len(buffer)
        else torch.empty(0, dtype=torch.uint8)
        for buffer in buffers
    ]


def encode_reply(codec: Codec, reply: Reply) -> EncodedReply:
    """Packs a reply.

    Raises:
        ProtocolError: the value cannot travel.
    """
    packed = pack_value(reply.value)
    if packed is None:
        return RESULT, *codec.encode(reply.value), reply.graph
    return VALUE, *packed, reply.graph


def encode_failure(codec: Codec, error: BaseException, worker: str) -> EncodedReply:
    """Packs what a request raised."""
    return FAILURE, *codec.encode(pack_failure(error, worker, codec)), 0


def decode_reply(
    codec: Codec, message: Message, graph_ref: Callable[[int], Any]
) -> tuple[Any, BaseException | None]:
    """Unpacks a reply; never raises, because a reply that cannot be read must not end the thread that reads.

    Args:
        codec: the connection's.
        message: the reply.
        graph_ref: makes a reference of the number of a kept graph.

    Returns:
        ``(value, None)`` or ``(None, failure)``.
    """
    try:
        if message.kind == VALUE:
            value = unpack_value(message.header, message.frames)
        else:
            value = codec.decode(message.header, tensors_over(message.frames))
            if message.kind == FAILURE:
                return None, unpack_failure(value, codec)
    except Exception as error:
        if message.object_id:
            graph_ref(message.object_id)  # the end of this reference releases the graph
        return None, error
    if message.object_id:
        value = recorded(Reply(value, message.object_id), graph_ref)
    return value, None
