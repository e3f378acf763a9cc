"""Small plain values as one buffer, in one pass of C: what most calls carry, without the codec's walks.

A value is plain if it is None, a bool, a number, a text, bytes, or a small dense CPU tensor; a row of them is what
the arguments of a call are, and most results. Everything else is for the codec, which keeps more.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from math import prod
from typing import Any

import msgspec
import torch
from torch import Tensor

from remotemod.errors import ProtocolError

__all__ = ["LIMIT", "pack_row", "pack_value", "unpack_row", "unpack_value"]

LIMIT = 16 * 1024
"""Bytes of a tensor up to which two more copies cost less than frames of its own."""

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
_TENSOR = 1  # msgpack's number for our extension type
_SINGLE, _TUPLE, _LIST, _DICT = range(4)
_CACHED = 4096


class _NotPlain(Exception):
    """Found on the way: the value is for the codec."""


_PREFIXES: dict[tuple[Any, ...], bytes] = {}
_SHAPES: dict[bytes, tuple[torch.dtype, tuple[int, ...], bool, int]] = {}


def _pack_tensor(value: Any) -> Any:
    if type(value) is not Tensor or not value.is_cpu or value.layout is not torch.strided:
        raise _NotPlain
    if value.is_nested or not value.is_contiguous() or value.is_conj() or value.is_neg():
        raise _NotPlain
    size = value.nbytes
    if size > LIMIT:
        raise _NotPlain
    key = (value.dtype, value.shape, value.requires_grad)
    prefix = _PREFIXES.get(key)
    if prefix is None:
        prefix = _prefix(*key)
    return msgspec.msgpack.Ext(_TENSOR, prefix + ctypes.string_at(value.data_ptr(), size))


def _prefix(dtype: torch.dtype, shape: torch.Size, requires_grad: bool) -> bytes:
    number = _NUMBERS.get(dtype)
    if number is None or len(shape) > 15:
        raise _NotPlain
    size = 3 + 8 * len(shape)
    made = struct.pack(f"<BBB{len(shape)}q", size, number, requires_grad, *shape)
    if len(_PREFIXES) < _CACHED:
        _PREFIXES[dtype, shape, requires_grad] = made
    return made


def _unpack_tensor(code: int, data: memoryview) -> Any:
    if code != _TENSOR:
        raise ProtocolError(f"a value of unknown kind {code} arrived")
    size = data[0]
    prefix = bytes(data[:size])
    known = _SHAPES.get(prefix)
    if known is None:
        known = _shape(prefix)
    dtype, shape, requires_grad, expected = known
    raw = bytearray(data[size:])
    if len(raw) != expected:
        raise ProtocolError(f"a tensor has {len(raw)} bytes where {expected} were described")
    if raw:
        # Laid over its own memory: writable, and no view of anything.
        tensor = torch.frombuffer(raw, dtype=dtype)
        if tensor.shape != shape:
            tensor.resize_(shape)
    else:
        tensor = torch.empty(shape, dtype=dtype)
    return tensor.requires_grad_() if requires_grad else tensor


def _shape(prefix: bytes) -> tuple[torch.dtype, tuple[int, ...], bool, int]:
    _, number, requires_grad, *shape = struct.unpack(f"<BBB{(len(prefix) - 3) // 8}q", prefix)
    dtype = _DTYPES[number]
    made = dtype, tuple(shape), bool(requires_grad), prod(shape) * dtype.itemsize
    if len(_SHAPES) < _CACHED:
        _SHAPES[prefix] = made
    return made


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_pack_tensor)
_DECODER = msgspec.msgpack.Decoder(list[Any], ext_hook=_unpack_tensor)


def _is_plain(values: Iterable[Any]) -> bool:
    """Whether the encoder keeps each of the values; tensors are looked at when it meets them."""
    seen = None
    for value in values:
        kind = type(value)
        if kind is Tensor:
            # A tensor that occurs twice must arrive as one: the codec sees to that.
            if seen is None:
                seen = {id(value)}
            elif id(value) in seen:
                return False
            else:
                seen.add(id(value))
        elif kind not in _ATOMS:
            return False
    return True


def _encode(row: list[Any]) -> bytes | None:
    try:
        return _ENCODER.encode(row)
    except (_NotPlain, OverflowError, UnicodeEncodeError):
        return None


def pack_row(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
    """The arguments of a call in one buffer; None where they are for the codec."""
    if kwargs:
        values = kwargs.values()
        if _is_plain(args) and _is_plain(values) and _is_plain((*args, *values)):
            return _encode([list(kwargs), *args, *values])
        return None
    return _encode([None, *args]) if _is_plain(args) else None


def unpack_row(data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What :func:`pack_row` packed.

    Raises:
        ProtocolError: the bytes are damaged.
    """
    try:
        names, *values = _DECODER.decode(data)
        if names is None:
            return tuple(values), {}
        first = len(values) - len(names)
        return tuple(values[:first]), dict(zip(names, values[first:], strict=True))
    except Exception as error:
        raise _damaged(error) from error


def pack_value(value: Any) -> bytes | None:
    """A result in one buffer; None where it is for the codec."""
    kind = type(value)
    if kind is Tensor or kind in _ATOMS:
        return _encode([_SINGLE, value])
    if kind is tuple:
        return _encode([_TUPLE, *value]) if _is_plain(value) else None
    if kind is list:
        return _encode([_LIST, *value]) if _is_plain(value) else None
    if kind is dict and all(type(key) is str for key in value) and _is_plain(value.values()):
        return _encode([_DICT, list(value), *value.values()])
    return None


def unpack_value(data: bytes) -> Any:
    """What :func:`pack_value` packed.

    Raises:
        ProtocolError: the bytes are damaged.
    """
    try:
        kind, *values = _DECODER.decode(data)
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
