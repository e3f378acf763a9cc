"""What a message looks like on the socket."""

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
    "HEAP",
    "INLINE",
    "KIND",
    "LARGE",
    "LIMIT",
    "PREFIX",
    "RECORDING",
    "REQUEST",
    "RESULT",
    "VALUE",
    "Message",
    "note",
    "pack_places",
    "unpack_places",
]

REQUEST, RESULT, FAILURE = 1, 2, 3
# Tensors have died: the header has their places in the receiver's shared memory.
FREE = 4
# A call was given up: the worker need not begin it.
CANCEL = 5
# Calls of plain values: a route says once what all calls of one method on one module have in common; its number
# stands where a call's does.
ENDPOINT, CALL, VALUE = 6, 7, 8

PREFIX = struct.Struct("<QIIIQ")  # call, bytes of header, frames, kind and flags, route or graph
FRAME = struct.Struct("<QQ")  # bytes, place in the sender's arena or INLINE
INLINE = 2**64 - 1
HEAP = 2**62  # the place is in the sender's heap
LIMIT = 2**32
RECORDING = 13  # the bit where a CALL says what becomes of its graph: a Recording, in two bits
KIND = 0x00FF

LARGE = 64 * 1024
"""Bytes from which on a frame goes through shared memory; below the socket's own copies are cheaper."""


class Message(NamedTuple):
    """What arrived: the call it belongs to, its kind, the codec's header and frames.

    ``route`` is a CALL's route, or the kept graph of a VALUE or RESULT, 0 without one.
    """

    call: int
    kind: int
    header: bytearray
    frames: list[Buffer]
    endpoint: int = 0
    graph_mode: int = 0


def note(kind: int, number: int, header: bytes = b"", endpoint: int = 0) -> bytes:
    """A message without frames."""
    return PREFIX.pack(number, len(header), 0, kind, endpoint) + header


def pack_places(places: Sequence[int]) -> bytes:
    """The header of a FREE."""
    return struct.pack(f"<{len(places)}Q", *places)


def unpack_places(header: bytes | bytearray) -> tuple[int, ...]:
    """What :func:`pack_places` packed."""
    return struct.unpack(f"<{len(header) // 8}Q", header)
