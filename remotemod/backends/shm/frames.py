"""What a message looks like on the socket."""

from __future__ import annotations

import struct
from typing import NamedTuple

from torch import Tensor

__all__ = [
    "CALL",
    "DROP",
    "FAILURE",
    "FRAME",
    "FREE",
    "GRAD",
    "INLINE",
    "KIND",
    "LARGE",
    "LIMIT",
    "NEW",
    "PREFIX",
    "REQUEST",
    "RESULT",
    "ROUTE",
    "SHARED",
    "VALUE",
    "Message",
    "note",
]

REQUEST, RESULT, FAILURE = 1, 2, 3
FREE, DROP = 4, 5  # notes about slots; their number stands where a call's does
# Calls of plain values: a route says once what all calls of one method on one module have in common; its number
# stands where a call's does.
ROUTE, CALL, VALUE = 6, 7, 8

PREFIX = struct.Struct("<QIIHII")  # call, bytes of header, frames, kind and flags, slot, route
FRAME = struct.Struct("<QQ")  # bytes, offset in the slot or INLINE
INLINE = 2**64 - 1
LIMIT = 2**32
SHARED, NEW = 0x8000, 0x4000
GRAD = 0x2000  # the caller of a CALL records gradients
KIND = 0x00FF

# Below this the socket's own copy is cheaper than the bookkeeping of a slot.
LARGE = 64 * 1024


class Message(NamedTuple):
    """What arrived: the call it belongs to, its kind, the codec's header and frames, and a CALL's route."""

    call: int
    kind: int
    header: bytes
    frames: list[Tensor]
    route: int = 0
    grad: bool = False


def note(kind: int, number: int, header: bytes = b"", route: int = 0) -> bytes:
    """A message without frames."""
    return PREFIX.pack(number, len(header), 0, kind, 0, route) + header
