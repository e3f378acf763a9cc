"""Plain values: numbers, text, slices, and the names, tensors and arrays of torch and numpy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.wire.containers import pack_items, unpack_items
from remotemod.wire.pickling import pack_object
from remotemod.wire.tags import (
    ARRAY_SCALAR,
    BIG_INT,
    BYTEARRAY,
    COMPLEX,
    DEVICE,
    ELLIPSIS,
    RANGE,
    SIZE,
    SLICE,
    SURROGATE_TEXT,
    TENSOR,
    TORCH_NAME,
)
from remotemod.wire.tensors import TORCH_NAMES, array_dtype_fits, describe_array
from remotemod.wire.walk import Node, Packer, Reader, Refused, Unpacker, Writer

__all__ = ["PACKERS", "UNPACKERS", "pack_array", "pack_array_scalar", "pack_tensor"]


def _as_is(writer: Writer, value: Any) -> Node:
    return value


def _pack_int(writer: Writer, value: int) -> Node:
    if -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        return value
    return [BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)]


def _pack_text(writer: Writer, value: str) -> Node:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return [SURROGATE_TEXT, value.encode("utf-8", "surrogatepass")]
    return value


def _pack_complex(writer: Writer, value: complex) -> Node:
    return [COMPLEX, value.real, value.imag]


def _unpack_complex(reader: Reader, node: list[Node]) -> complex:
    return complex(node[1], node[2])


def _unpack_big_int(reader: Reader, node: list[Node]) -> int:
    return int.from_bytes(node[1], "little", signed=True)


def _unpack_surrogate_text(reader: Reader, node: list[Node]) -> str:
    return str(node[1], "utf-8", "surrogatepass")


def _pack_bytearray(writer: Writer, value: bytearray) -> Node:
    return [BYTEARRAY, value]


def _unpack_bytearray(reader: Reader, node: list[Node]) -> bytearray:
    if type(node[1]) is not bytes:
        raise ProtocolError("a bytearray in the header holds something else than bytes")
    return bytearray(node[1])


def _pack_slice(writer: Writer, value: slice) -> Node:
    return pack_items(writer, [SLICE], (value.start, value.stop, value.step))


def _unpack_slice(reader: Reader, node: list[Node]) -> slice:
    return slice(*unpack_items(reader, node))


def _pack_range(writer: Writer, value: range) -> Node:
    return pack_items(writer, [RANGE], (value.start, value.stop, value.step))


def _unpack_range(reader: Reader, node: list[Node]) -> range:
    return range(*unpack_items(reader, node))


def _pack_ellipsis(writer: Writer, value: Any) -> Node:
    return [ELLIPSIS]


def _unpack_ellipsis(reader: Reader, node: list[Node]) -> Any:
    return ...


def _pack_size(writer: Writer, value: torch.Size) -> Node:
    return [SIZE, *value]


def _unpack_size(reader: Reader, node: list[Node]) -> torch.Size:
    return torch.Size(node[1:])


def _pack_torch_name(writer: Writer, value: Any) -> Node:
    return [TORCH_NAME, str(value).removeprefix("torch.")]


def _unpack_torch_name(reader: Reader, node: list[Node]) -> Any:
    return TORCH_NAMES[node[1]]


def _pack_device(writer: Writer, value: torch.device) -> Node:
    return [DEVICE, str(value)]


def _unpack_device(reader: Reader, node: list[Node]) -> torch.device:
    return torch.device(node[1])


def pack_tensor(writer: Writer, value: Tensor) -> Node:
    """Pack a tensor or a Parameter as its place in the table of tensors."""
    if writer.followed is not None:
        writer.followed.demand(value)
    try:
        return [TENSOR, writer.tensor(value)]
    except (ProtocolError, RuntimeError) as error:
        raise Refused(value, str(error)) from error


def pack_array(writer: Writer, value: Any) -> Node:
    """Pack a numpy array like a tensor, unless its items are Python objects or structures."""
    if not array_dtype_fits(value.dtype):
        return pack_object(writer, value)
    return [TENSOR, writer.tensor(value, describe_array)]


def pack_array_scalar(writer: Writer, value: Any) -> Node:
    """Pack a numpy scalar as its dtype and bytes."""
    if not array_dtype_fits(value.dtype):
        return pack_object(writer, value)
    return [ARRAY_SCALAR, value.dtype.str, value.tobytes()]


def _unpack_tensor(reader: Reader, node: list[Node]) -> Any:
    return reader.tensors[node[1]]


def _unpack_array_scalar(reader: Reader, node: list[Node]) -> Any:
    import numpy

    return numpy.frombuffer(node[2], numpy.dtype(node[1]))[0]


PACKERS: dict[type, Packer] = {
    type(None): _as_is,
    bool: _as_is,
    int: _pack_int,
    float: _as_is,
    complex: _pack_complex,
    str: _pack_text,
    bytes: _as_is,
    bytearray: _pack_bytearray,
    slice: _pack_slice,
    range: _pack_range,
    type(...): _pack_ellipsis,
    torch.Size: _pack_size,
    torch.dtype: _pack_torch_name,
    torch.layout: _pack_torch_name,
    torch.memory_format: _pack_torch_name,
    torch.device: _pack_device,
    Tensor: pack_tensor,
    torch.nn.Parameter: pack_tensor,
}

UNPACKERS: dict[int, Unpacker] = {
    BIG_INT: _unpack_big_int,
    COMPLEX: _unpack_complex,
    SURROGATE_TEXT: _unpack_surrogate_text,
    BYTEARRAY: _unpack_bytearray,
    SLICE: _unpack_slice,
    RANGE: _unpack_range,
    ELLIPSIS: _unpack_ellipsis,
    SIZE: _unpack_size,
    TORCH_NAME: _unpack_torch_name,
    DEVICE: _unpack_device,
    TENSOR: _unpack_tensor,
    ARRAY_SCALAR: _unpack_array_scalar,
}
