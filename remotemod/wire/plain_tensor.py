"""Dense CPU tensors as a description, made once for each shape, and their bytes: what the fast path sends."""

from __future__ import annotations

import ctypes
import struct
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.wire.memory import dense_order

__all__ = [
    "FIRST_BYTE",
    "LIMIT",
    "Buffer",
    "Description",
    "describe",
    "portable",
    "read_description",
]

LIMIT = 16 * 1024
"""Bytes of a tensor up to which two more copies cost less than a frame of its own."""

Buffer = bytearray | memoryview
"""Bytes that arrived; writable, because tensors are laid over them."""

FIRST_BYTE = 0xC1
"""What a description begins with, and no msgpack does."""

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
_UNIT = (
    16  # a description is as many times as long, so that a tensor can lie over the bytes behind it
)
_REQUIRES_GRAD, _IS_FRAMED = 1, 2
_CACHED = 4096


class Description(NamedTuple):
    """A tensor without its bytes; in a row it is the placeholder of one that has its bytes in a frame."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    requires_grad: bool
    size: int
    framed: bool

    def over(self, buffer: Buffer, start: int = 0) -> Tensor:
        """The tensor, laid over its bytes.

        Raises:
            ProtocolError: they are more or fewer than it has.
        """
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


def describe(value: Tensor) -> tuple[bytes, bytes | None] | None:
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
        value = portable(value)
        address = value.data_ptr()
    return prefixes[0], ctypes.string_at(address, size)


def portable(value: Tensor) -> Tensor:
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
        struct.pack(form, FIRST_BYTE, units, number, flags, len(shape), *shape).ljust(
            units * _UNIT, b"\0"
        )
        for flags in (requires_grad, requires_grad | _IS_FRAMED)
    )
    if len(_PREFIXES) < _CACHED:
        _PREFIXES[dtype, shape, requires_grad] = inline, framed
    return inline, framed


def read_description(data: Buffer) -> tuple[Description, int]:
    """What a description says, and how long it is."""
    end = data[1] * _UNIT
    prefix = bytes(data[:end])
    return _DESCRIPTIONS.get(prefix) or _description(prefix), end


def _description(prefix: bytes) -> Description:
    _, _, number, flags, dims = prefix[:5]
    shape = struct.unpack_from(f"<{dims}q", prefix, 8)
    dtype = _DTYPES[number]
    size = prod(shape) * dtype.itemsize
    framed = bool(flags & _IS_FRAMED)
    made = Description(dtype, shape, bool(flags & _REQUIRES_GRAD), size, framed)
    if len(_DESCRIPTIONS) < _CACHED:
        _DESCRIPTIONS[prefix] = made
    return made


# Not lru_cache: keeping the order of use would cost a tenth of packing a small tensor.
_PREFIXES: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}
_DESCRIPTIONS: dict[bytes, Description] = {}
