"""Plain values as one buffer, in one pass of C: what most calls carry, without the codec's walks.

A value is plain if it is None, a bool, a number, a text, bytes, or a dense CPU tensor; a row of them is what the
arguments of a call are, and most results. Small tensors stand in the buffer, large ones are frames as the codec's
are. Everything else is for the codec, which keeps more.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.wire.tensors import dense_order

__all__ = ["LIMIT", "Buffer", "Packed", "pack_row", "pack_value", "unpack_row", "unpack_value"]

LIMIT = 16 * 1024
"""Bytes of a tensor up to which two more copies cost less than a frame of its own."""

Packed = tuple[bytes, list[Tensor]]
"""The buffer and its frames: contiguous CPU tensors whose bytes are to travel."""

Buffer = bytearray | memoryview
"""Bytes that arrived; writable, because tensors are laid over them."""

_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
_DTYPES = (
    torch.float32,
    torch.int64,
    torch.float64,
    torch.int32,
    torch.float16,
    torch.bfloat16,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
)
_NUMBERS = {dtype: number for number, dtype in enumerate(_DTYPES)}
_TENSOR, _FRAMED = 1, 2  # msgpack's numbers for our extension types
_SINGLE, _TUPLE, _LIST, _DICT = range(4)
_CACHED = 4096

# One tensor alone, the commonest of all, needs no msgpack: this byte, which no msgpack begins with, then the
# tensor's description, and its bytes from a multiple of _UNIT on, so that a tensor can lie over them.
_LONE = 0xC1
_UNIT = 16
_REQUIRES_GRAD, _IS_FRAMED = 1, 2

_PREFIXES: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}
_SHAPES: dict[bytes, _Described] = {}


class _Described(NamedTuple):
    """A tensor without its bytes; stands in a row for one whose bytes are a frame."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    requires_grad: bool
    size: int
    framed: bool

    def over(self, buffer: Buffer, start: int = 0) -> Tensor:
        """The tensor, laid over its bytes."""
        if len(buffer) - start != self.size:
            raise ProtocolError(
                f"a tensor has {len(buffer) - start} bytes where {self.size} were described"
            )
        if self.size:
            tensor = torch.frombuffer(buffer, dtype=self.dtype, offset=start)
            if len(self.shape) != 1:
                tensor.resize_(self.shape)
        else:
            tensor = torch.empty(self.shape, dtype=self.dtype)
        return tensor.requires_grad_() if self.requires_grad else tensor


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
        found = _taken_apart(value)
        if found is None:
            return False
        prefix, data = found
        if data is None:
            row.append(msgspec.msgpack.Ext(_FRAMED, prefix))
            frames.append(_portable(value))
        else:
            row.append(msgspec.msgpack.Ext(_TENSOR, prefix + data))
    return True


def _taken_apart(value: Tensor) -> tuple[bytes, bytes | None] | None:
    """A tensor's description, and its bytes if they are few; None if the codec must describe it."""
    if not value.is_cpu or value.layout is not torch.strided or value.is_nested:
        return None
    key = (value.dtype, value.shape, value.requires_grad)
    prefixes = _PREFIXES.get(key) or _prefixes(*key)
    if prefixes is None:
        return None
    size = value.nbytes
    try:
        address = value.data_ptr()
    except RuntimeError:
        return None  # it has no memory of its own: the codec says where and why
    if not address and size:
        return None
    if not value.is_contiguous() and dense_order(value) is not None:
        return None
    if size > LIMIT:
        return prefixes[1], None
    if value.is_conj() or value.is_neg() or not value.is_contiguous():
        value = _portable(value)
        address = value.data_ptr()
    return prefixes[0], ctypes.string_at(address, size)


def _portable(value: Tensor) -> Tensor:
    """A tensor whose memory is its value."""
    if value.is_conj() or value.is_neg():
        value = value.resolve_conj().resolve_neg()
    return value.contiguous()


def _prefixes(
    dtype: torch.dtype, shape: torch.Size, requires_grad: bool
) -> tuple[bytes, bytes] | None:
    """What describes such a tensor, with its bytes behind it or in a frame; None if that is the codec's."""
    number = _NUMBERS.get(dtype)
    if number is None or len(shape) > 15:
        return None
    units = -(-(8 + 8 * len(shape)) // _UNIT)
    form = f"<5B3x{len(shape)}q"
    inline, framed = (
        struct.pack(form, _LONE, units, number, flags, len(shape), *shape).ljust(
            units * _UNIT, b"\0"
        )
        for flags in (requires_grad, requires_grad | _IS_FRAMED)
    )
    if len(_PREFIXES) < _CACHED:
        _PREFIXES[dtype, shape, requires_grad] = inline, framed
    return inline, framed


def _describe(prefix: bytes) -> _Described:
    _, _, number, flags, dims = prefix[:5]
    shape = struct.unpack_from(f"<{dims}q", prefix, 8)
    dtype = _DTYPES[number]
    size = prod(shape) * dtype.itemsize
    made = _Described(dtype, shape, bool(flags & _REQUIRES_GRAD), size, bool(flags & _IS_FRAMED))
    if len(_SHAPES) < _CACHED:
        _SHAPES[prefix] = made
    return made


def _described(data: Buffer) -> tuple[_Described, int]:
    """What a description says, and how long it is."""
    end = data[1] * _UNIT
    prefix = bytes(data[:end])
    return _SHAPES.get(prefix) or _describe(prefix), end


def _unpack_tensor(code: int, data: memoryview) -> Any:
    described, end = _described(data)
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
    found = _taken_apart(value)
    if found is None:
        return None
    prefix, data = found
    return (prefix, [_portable(value)]) if data is None else (prefix + data, [])


def _unpack_lone(data: Buffer, frames: Sequence[Buffer]) -> Tensor:
    described, end = _described(data)
    if len(frames) != described.framed:
        raise ProtocolError("a message has not the frames that it describes")
    return described.over(frames[0]) if described.framed else described.over(data, end)


def _unpack(data: Buffer, frames: Sequence[Buffer]) -> list[Any]:
    """The values of a row, with tensors laid over the frames where they are described."""
    values = _DECODER.decode(data)
    left = iter(frames)
    for index, value in enumerate(values):
        if type(value) is _Described:
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
        if data[0] == _LONE:
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
        if data[0] == _LONE:
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
