"""The format of messages on the socket: a prefix, a table of frames, a header, and the small frames inline."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from remotemod.wire.fast_path import Buffer

__all__ = [
    "CALL",
    "CANCEL",
    "ENDPOINT",
    "FAILURE",
    "FRAME",
    "FREE",
    "GRAPH_MODE_SHIFT",
    "HEAP_BASE",
    "HELLO",
    "INLINE",
    "KIND_MASK",
    "LARGE",
    "LIMIT",
    "PREFIX",
    "REQUEST",
    "RESULT",
    "VALUE",
    "Message",
    "pack_message",
    "pack_offsets",
    "unpack_offsets",
]

HELLO = b"\x01"
"""The first byte of each direction; the descriptors of the sender's arena and heap come with it."""

# The kinds of messages. Requests of the seam, and their replies, as the codec packs them:
REQUEST, RESULT, FAILURE = 1, 2, 3
# The receiver's shared memory has been reclaimed at the offsets in the header:
FREE = 4
# Nobody waits for the reply of a call any more; a worker that has not begun it need not:
CANCEL = 5
# Calls of plain values: ENDPOINT says once what all calls of a method have in common; a CALL names it by the number that
# the ENDPOINT had as its call; VALUE is a reply of plain values:
ENDPOINT, CALL, VALUE = 6, 7, 8

PREFIX = struct.Struct("<QIIIQ")  # call, bytes of header, frames, kind and graph mode, object
FRAME = struct.Struct("<QQ")  # bytes, offset in the sender's shared memory or INLINE
INLINE = 2**64 - 1
HEAP_BASE = 2**62  # offsets from here on lie in the sender's heap, those below in its arena
LIMIT = 2**32
KIND_MASK = 0x00FF
GRAPH_MODE_SHIFT = 13  # the two bits in which a CALL carries its GraphMode

LARGE = 64 * 1024
"""Bytes from which on a frame travels in shared memory; below, the copies that the socket makes are cheaper."""


class Message(NamedTuple):
    """A message that has arrived.

    Attributes:
        call: the number of the call that it belongs to; 0 where nothing is replied.
        kind: one of the kinds above.
        header: the packed values.
        frames: the bytes of their tensors.
        object_id: the object on the worker that the message is about: the endpoint that a CALL runs, the graph that is
            kept of a RESULT or VALUE; 0 for none.
        graph_mode: the ``GraphMode`` of a CALL.
    """

    call: int
    kind: int
    header: bytearray
    frames: list[Buffer]
    object_id: int = 0
    graph_mode: int = 0


def pack_message(kind: int, call: int, header: bytes = b"", object_id: int = 0) -> bytes:
    """A message without frames."""
    return PREFIX.pack(call, len(header), 0, kind, object_id) + header


def pack_offsets(offsets: Sequence[int]) -> bytes:
    """The header of a FREE."""
    return struct.pack(f"<{len(offsets)}Q", *offsets)


def unpack_offsets(header: bytes | bytearray) -> tuple[int, ...]:
    """Reverses :func:`pack_offsets`."""
    return struct.unpack(f"<{len(header) // 8}Q", header)
