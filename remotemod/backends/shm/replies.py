"""What a worker replies over shm: plain values in one buffer, everything else as the codec packs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from remotemod.backends.shm.frames import FAILURE, RESULT, VALUE, Message
from remotemod.requests import Reply
from remotemod.rpc.messages import recorded
from remotemod.wire.codec import Codec
from remotemod.wire.failure import pack_failure, unpack_failure
from remotemod.wire.fast_path import Buffer, pack_value, unpack_value

__all__ = ["decode_answer", "encode_answer", "encode_error", "tensors_over"]

Answer = tuple[int, bytes, list[Tensor], int]
"""The kind of a message, its header and frames, and the number of the graph that is kept of it."""


def tensors_over(buffers: Sequence[Buffer]) -> list[Tensor]:
    """The codec's frames, over the memory that a message arrived in."""
    return [
        torch.frombuffer(buffer, dtype=torch.uint8)
        if len(buffer)
        else torch.empty(0, dtype=torch.uint8)
        for buffer in buffers
    ]


def encode_answer(codec: Codec, reply: Reply) -> Answer:
    """A reply, ready to be sent.

    Raises:
        ProtocolError: the value cannot travel.
    """
    packed = pack_value(reply.value)
    if packed is None:
        return RESULT, *codec.encode(reply.value), reply.graph
    return VALUE, *packed, reply.graph


def encode_error(codec: Codec, error: BaseException, worker: str) -> Answer:
    """What a request raised, ready to be sent."""
    return FAILURE, *codec.encode(pack_failure(error, worker, codec)), 0


def decode_answer(
    codec: Codec, message: Message, graph_ref: Callable[[int], Any]
) -> tuple[Any, BaseException | None]:
    """The answer in a message: ``(value, None)`` or ``(None, what was raised)``.

    Args:
        codec: the connection's.
        message: the answer.
        graph_ref: makes a reference of a kept graph's number.
    """
    try:
        if message.kind == VALUE:
            value = unpack_value(message.header, message.frames)
        else:
            value = codec.decode(message.header, tensors_over(message.frames))
            if message.kind == FAILURE:
                return None, unpack_failure(value, codec)
    except Exception as error:
        if message.endpoint:
            graph_ref(message.endpoint)  # whose end lets the graph go
        # An answer that cannot be read must not take the reader down with it.
        return None, error
    return recorded(Reply(value, message.endpoint), graph_ref), None
