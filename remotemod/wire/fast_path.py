"""Plain values as one buffer, in one pass of C: what most calls carry, without the codec's walks.

A value is plain if it is None, a bool, a number, a text, bytes, or a dense CPU tensor; a row of them is what the
arguments of a call are, and most results. Small tensors stand in the buffer, large ones are frames as the codec's
are. One tensor alone, the commonest of all, needs no msgpack: its description and its bytes are the buffer.
Everything else is for the codec, which keeps more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.wire.plain_tensor import (
    FIRST_BYTE,
    LIMIT,
    Buffer,
    Description,
    describe,
    portable,
    read_description,
)

__all__ = ["LIMIT", "Buffer", "Packed", "pack_row", "pack_value", "unpack_row", "unpack_value"]

Packed = tuple[bytes, list[Tensor]]
"""The buffer and its frames: contiguous CPU tensors whose bytes are to travel."""

_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
_TENSOR, _FRAMED = 1, 2  # msgpack's numbers for our extension types
_SINGLE, _TUPLE, _LIST, _DICT = range(4)


def _add(values: Iterable[Any], row: list[Any], frames: list[Tensor]) -> bool:
    """Adds plain values to a row; False if one of them is not."""
    seen: set[int] | None = None
    for value in values:
        kind = type(value)
        if kind in _ATOMS:
            row.append(value)
            continue
        if kind is not Tensor:
            return False
        # A tensor that occurs twice must arrive as one: the codec sees to that.
        if seen is None:
            seen = {id(value)}
        elif id(value) in seen:
            return False
        else:
            seen.add(id(value))
        found = describe(value)
        if found is None:
            return False
        prefix, data = found
        if data is None:
            row.append(msgspec.msgpack.Ext(_FRAMED, prefix))
            frames.append(portable(value))
        else:
            row.append(msgspec.msgpack.Ext(_TENSOR, prefix + data))
    return True


def _unpack_tensor(code: int, data: memoryview) -> Any:
    described, end = read_description(data)
    if code == _FRAMED:
        return described
    if code != _TENSOR:
        raise ProtocolError(f"a value of unknown kind {code} arrived")
    # Over memory of its own: aligned, writable, and alive no longer than the tensor.
    return described.over(bytearray(data[end:]))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Any], ext_hook=_unpack_tensor)


def _encode(row: list[Any], frames: list[Tensor]) -> Packed | None:
    try:
        return _ENCODER.encode(row), frames
    except (OverflowError, UnicodeEncodeError):
        return None


def _pack_lone(value: Tensor) -> Packed | None:
    found = describe(value)
    if found is None:
        return None
    prefix, data = found
    return (prefix, [portable(value)]) if data is None else (prefix + data, [])


def _unpack_lone(data: Buffer, frames: Sequence[Buffer]) -> Tensor:
    described, end = read_description(data)
    if len(frames) != described.framed:
        raise ProtocolError("a message has not the frames that it describes")
    return described.over(frames[0]) if described.framed else described.over(data, end)


def _unpack(data: Buffer, frames: Sequence[Buffer]) -> list[Any]:
    """The values of a row, with tensors laid over the frames where they are described."""
    values = _DECODER.decode(data)
    left = iter(frames)
    for index, value in enumerate(values):
        if type(value) is Description:
            frame = next(left, None)
            if frame is None:
                raise ProtocolError("a message has not the frames that it describes")
            values[index] = value.over(frame)
    if next(left, None) is not None:
        raise ProtocolError("a message has more frames than it describes")
    return values


def pack_row(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Packed | None:
    """The arguments of a call; None where they are for the codec."""
    if not kwargs and len(args) == 1 and type(args[0]) is Tensor:
        return _pack_lone(args[0])
    row: list[Any] = [list(kwargs) if kwargs else None]
    frames: list[Tensor] = []
    if not _add((*args, *kwargs.values()) if kwargs else args, row, frames):
        return None
    return _encode(row, frames)


def unpack_row(data: Buffer, frames: Sequence[Buffer]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What :func:`pack_row` packed; tensors lie over the buffers.

    Raises:
        ProtocolError: the bytes are damaged.
    """
    try:
        if data[0] == FIRST_BYTE:
            return (_unpack_lone(data, frames),), {}
        names, *values = _unpack(data, frames)
        if names is None:
            return tuple(values), {}
        first = len(values) - len(names)
        return tuple(values[:first]), dict(zip(names, values[first:], strict=True))
    except Exception as error:
        raise _damaged(error) from error


def pack_value(value: Any) -> Packed | None:
    """A result; None where it is for the codec."""
    kind = type(value)
    if kind is Tensor:
        return _pack_lone(value)
    frames: list[Tensor] = []
    row: list[Any]
    values: Iterable[Any] = value
    if kind in _ATOMS:
        row, values = [_SINGLE], (value,)
    elif kind is tuple:
        row = [_TUPLE]
    elif kind is list:
        row = [_LIST]
    elif kind is dict and all(type(key) is str for key in value):
        row, values = [_DICT, list(value)], value.values()
    else:
        return None
    return _encode(row, frames) if _add(values, row, frames) else None


def unpack_value(data: Buffer, frames: Sequence[Buffer]) -> Any:
    """What :func:`pack_value` packed; tensors lie over the buffers.

    Raises:
        ProtocolError: the bytes are damaged.
    """
    try:
        if data[0] == FIRST_BYTE:
            return _unpack_lone(data, frames)
        kind, *values = _unpack(data, frames)
        if kind == _SINGLE:
            return values[0]
        if kind == _TUPLE:
            return tuple(values)
        return values if kind == _LIST else dict(zip(values[0], values[1:], strict=True))
    except Exception as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> ProtocolError:
    if isinstance(error, ProtocolError):
        return error
    return ProtocolError(f"a message cannot be decoded ({type(error).__name__}: {error})")
