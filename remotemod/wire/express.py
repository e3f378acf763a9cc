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
from remotemod.wire.tensors import flat_bytes, lay_over

__all__ = ["LIMIT", "Packed", "pack_row", "pack_value", "unpack_row", "unpack_value"]

LIMIT = 16 * 1024
"""Bytes of a tensor up to which two more copies cost less than a frame of its own."""

Packed = tuple[bytes, list[Tensor]]
"""The buffer and its frames: flat uint8 CPU tensors that share memory with what was packed."""

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

_PREFIXES: dict[tuple[Any, ...], bytes] = {}
_SHAPES: dict[bytes, _Described] = {}


class _Described(NamedTuple):
    """A tensor without its bytes; stands in a row for one whose bytes are a frame."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    requires_grad: bool
    size: int


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
        made = _extension(value, frames)
        if made is None:
            return False
        row.append(made)
    return True


def _extension(value: Tensor, frames: list[Tensor]) -> Any:
    if not value.is_cpu or value.layout is not torch.strided or value.is_nested:
        return None
    key = (value.dtype, value.shape, value.requires_grad)
    prefix = _PREFIXES.get(key) or _prefix(*key)
    if not prefix:
        return None
    size = value.nbytes
    if size > LIMIT:
        frames.append(flat_bytes(value))
        return msgspec.msgpack.Ext(_FRAMED, prefix)
    if value.is_conj() or value.is_neg():
        value = value.resolve_conj().resolve_neg()
    if not value.is_contiguous():
        value = value.contiguous()
    return msgspec.msgpack.Ext(_TENSOR, prefix + ctypes.string_at(value.data_ptr(), size))


def _prefix(dtype: torch.dtype, shape: torch.Size, requires_grad: bool) -> bytes:
    """What describes such a tensor; empty for what the codec must describe."""
    number = _NUMBERS.get(dtype)
    if number is None or len(shape) > 15:
        return b""
    size = 3 + 8 * len(shape)
    made = struct.pack(f"<BBB{len(shape)}q", size, number, requires_grad, *shape)
    if len(_PREFIXES) < _CACHED:
        _PREFIXES[dtype, shape, requires_grad] = made
    return made


def _unpack_tensor(code: int, data: memoryview) -> Any:
    size = data[0]
    prefix = bytes(data[:size])
    described = _SHAPES.get(prefix) or _describe(prefix)
    if code == _FRAMED:
        return described
    if code != _TENSOR:
        raise ProtocolError(f"a value of unknown kind {code} arrived")
    raw = bytearray(data[size:])
    if len(raw) != described.size:
        raise ProtocolError(f"a tensor has {len(raw)} bytes where {described.size} were described")
    if raw:
        # Laid over its own memory: writable, and no view of anything.
        tensor = torch.frombuffer(raw, dtype=described.dtype)
        if tensor.shape != described.shape:
            tensor.resize_(described.shape)
    else:
        tensor = torch.empty(described.shape, dtype=described.dtype)
    return tensor.requires_grad_() if described.requires_grad else tensor


def _describe(prefix: bytes) -> _Described:
    _, number, requires_grad, *shape = struct.unpack(f"<BBB{(len(prefix) - 3) // 8}q", prefix)
    dtype = _DTYPES[number]
    size = prod(shape) * dtype.itemsize
    made = _Described(dtype, tuple(shape), bool(requires_grad), size)
    if len(_SHAPES) < _CACHED:
        _SHAPES[prefix] = made
    return made


def _with_frames(values: list[Any], frames: Sequence[Tensor]) -> list[Any]:
    """The values, with tensors laid over the frames where they are described."""
    left = iter(frames)
    for index, value in enumerate(values):
        if type(value) is _Described:
            frame = next(left, None)
            if frame is None or frame.numel() != value.size:
                raise ProtocolError("a message has not the frames that it describes")
            tensor = lay_over(frame, value.dtype, value.shape)
            values[index] = tensor.requires_grad_() if value.requires_grad else tensor
    if next(left, None) is not None:
        raise ProtocolError("a message has more frames than it describes")
    return values


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Any], ext_hook=_unpack_tensor)


def _encode(row: list[Any], frames: list[Tensor]) -> Packed | None:
    try:
        return _ENCODER.encode(row), frames
    except (OverflowError, UnicodeEncodeError):
        return None


def pack_row(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Packed | None:
    """The arguments of a call; None where they are for the codec."""
    row: list[Any] = [list(kwargs) if kwargs else None]
    frames: list[Tensor] = []
    if not _add((*args, *kwargs.values()) if kwargs else args, row, frames):
        return None
    return _encode(row, frames)


def unpack_row(data: bytes, frames: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What :func:`pack_row` packed; tensors share memory with the frames.

    Raises:
        ProtocolError: the bytes are damaged.
    """
    try:
        names, *values = _with_frames(_DECODER.decode(data), frames)
        if names is None:
            return tuple(values), {}
        first = len(values) - len(names)
        return tuple(values[:first]), dict(zip(names, values[first:], strict=True))
    except Exception as error:
        raise _damaged(error) from error


def pack_value(value: Any) -> Packed | None:
    """A result; None where it is for the codec."""
    kind = type(value)
    frames: list[Tensor] = []
    row: list[Any]
    values: Iterable[Any] = value
    if kind is Tensor or kind in _ATOMS:
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


def unpack_value(data: bytes, frames: Sequence[Tensor]) -> Any:
    """What :func:`pack_value` packed; tensors share memory with the frames.

    Raises:
        ProtocolError: the bytes are damaged.
    """
    try:
        kind, *values = _with_frames(_DECODER.decode(data), frames)
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
