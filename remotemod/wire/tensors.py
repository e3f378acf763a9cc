"""Tensors and numpy arrays as a small descriptor and raw frames that share their memory.

A restored tensor shares the storage of its
frame: the transport must keep that memory alive, and writable, for as long as the storage lives.
Tensors of other devices arrive on the CPU; what is attached to a tensor (grad, hooks, attributes) stays behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.torch_compat.tensors import coo_parts, ragged_dimension
from remotemod.wire.memory import dense_order, dense_strides, flat_bytes, lay_over, take_frame

__all__ = [
    "TORCH_NAMES",
    "array_dtype_fits",
    "describe",
    "describe_array",
    "restore",
]

Descriptor = Any

_DENSE, _META, _COO, _COMPRESSED, _NESTED, _ARRAY = range(6)
_REQUIRES_GRAD, _PARAMETER = 1, 2

TORCH_NAMES: dict[str, Any] = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format))
}
"""The dtypes, layouts and memory formats of this torch by name."""

_DTYPES = {
    name: value
    for name, value in TORCH_NAMES.items()
    if isinstance(value, torch.dtype) and not name.startswith("q")
}
_DTYPE_NAMES = {value: name for name, value in _DTYPES.items()}

_COMPRESSED_BY_ROW = (torch.sparse_csr, torch.sparse_bsr)
_COMPRESSED_BY_COLUMN = (torch.sparse_csc, torch.sparse_bsc)


def describe(tensor: Tensor, frames: list[Tensor]) -> Descriptor:
    """Append the tensor's bytes to the frames and return what restores it from them."""
    flags = 0
    if tensor.requires_grad:
        flags = _REQUIRES_GRAD
    if type(tensor) is torch.nn.Parameter:
        flags |= _PARAMETER
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_meta:
        return _describe_odd(tensor.detach(), flags, frames)
    name = _dtype_name(tensor)
    order = dense_order(tensor)
    if order is None:
        frames.append(flat_bytes(tensor))
        return [_DENSE, flags, name, tensor.shape]
    frames.append(flat_bytes(tensor.permute(order)))
    return [_DENSE, flags, name, tensor.shape, order]


def _dtype_name(tensor: Tensor) -> str:
    name = _DTYPE_NAMES.get(tensor.dtype)
    if name is None:
        raise ProtocolError(
            f"a {tensor.dtype} tensor has no portable bytes; send tensor.dequantize()"
        )
    return name


def _describe_nested(tensor: Tensor, flags: int, frames: list[Tensor]) -> Descriptor:
    layout = tensor.layout
    if layout is torch.jagged and ragged_dimension(tensor) != 1:
        raise ProtocolError("a transposed jagged tensor cannot be taken apart; transpose it back")
    parts = [describe(part, frames) for part in tensor.unbind()]
    if not parts:
        raise ProtocolError("a nested tensor without parts cannot be put together again")
    return [_NESTED, flags, _layout_name(layout), parts]


def _describe_odd(tensor: Tensor, flags: int, frames: list[Tensor]) -> Descriptor:
    if tensor.is_nested:
        return _describe_nested(tensor, flags, frames)
    shape, layout = tensor.shape, tensor.layout
    if tensor.is_meta and layout is torch.strided:
        return [_META, flags, _dtype_name(tensor), shape, tensor.stride()]
    if tensor.is_meta:
        raise ProtocolError("a sparse meta tensor cannot be described; send a dense one")
    if layout is torch.sparse_coo:
        coalesced, *coo = coo_parts(tensor)
        return [_COO, flags, shape, coalesced, *(describe(part, frames) for part in coo)]
    if layout in _COMPRESSED_BY_ROW:
        pieces = (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    elif layout in _COMPRESSED_BY_COLUMN:
        pieces = (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    else:
        raise ProtocolError(f"a {layout} tensor has no portable bytes; send tensor.to_dense()")
    parts = [describe(part, frames) for part in pieces]
    return [_COMPRESSED, flags, _layout_name(layout), shape, *parts]


def _layout_name(layout: torch.layout) -> str:
    return str(layout).removeprefix("torch.")


def restore(descriptor: Descriptor, frames: Iterator[Tensor]) -> Any:
    """Rebuild one tensor or array, taking as many frames as it needs."""
    flags = descriptor[1]
    value = _RESTORERS[descriptor[0]](frames, *descriptor[2:])
    if flags & _PARAMETER:
        return torch.nn.Parameter(value, requires_grad=bool(flags & _REQUIRES_GRAD))
    if flags:
        value.requires_grad_()
    return value


def _restore_dense(
    frames: Iterator[Tensor], dtype_name: str, shape: list[int], order: list[int] | None = None
) -> Tensor:
    dtype = _DTYPES[dtype_name]
    strides = () if order is None else (dense_strides(shape, order),)
    return lay_over(take_frame(frames, dtype.itemsize, shape), dtype, shape, *strides)


def _restore_meta(
    frames: Iterator[Tensor], dtype_name: str, shape: list[int], stride: list[int]
) -> Tensor:
    return torch.empty_strided(shape, stride, dtype=TORCH_NAMES[dtype_name], device="meta")


# Both sparse forms check what they are given: indices from the wire must not reach outside the values.
def _restore_coo(
    frames: Iterator[Tensor], shape: list[int], coalesced: bool, *parts: Descriptor
) -> Tensor:
    indices, values = (restore(part, frames) for part in parts)
    return torch.sparse_coo_tensor(
        indices, values, shape, is_coalesced=bool(coalesced), check_invariants=True
    )


def _restore_compressed(
    frames: Iterator[Tensor], layout: str, shape: list[int], *parts: Descriptor
) -> Tensor:
    compressed, plain, values = (restore(part, frames) for part in parts)
    return torch.sparse_compressed_tensor(
        compressed, plain, values, shape, layout=TORCH_NAMES[layout], check_invariants=True
    )


def _restore_nested(frames: Iterator[Tensor], layout: str, parts: list[Descriptor]) -> Tensor:
    tensors = [restore(part, frames) for part in parts]
    return torch.nested.as_nested_tensor(tensors, layout=TORCH_NAMES[layout])


def array_dtype_fits(dtype: Any) -> bool:
    """Tell whether a numpy dtype's items are plain bytes that its short name describes."""
    import numpy

    fits = dtype.kind in "biufcmMSU" and dtype.itemsize > 0
    return fits and bool(numpy.dtype(dtype.str) == dtype)


def describe_array(array: Any, frames: list[Tensor]) -> Descriptor:
    """Do for a numpy array of plain items what ``describe`` does for a tensor."""
    import numpy

    flat = numpy.ascontiguousarray(array).reshape(-1)
    if not flat.flags.writeable:
        flat = flat.copy()  # torch has no read-only tensors and warns about sharing such memory
    frames.append(torch.from_numpy(flat.view(numpy.uint8)))
    return [_ARRAY, 0, array.dtype.str, array.shape]


def _restore_array(frames: Iterator[Tensor], dtype_name: str, shape: list[int]) -> Any:
    import numpy

    dtype = numpy.dtype(dtype_name)
    frame = take_frame(frames, dtype.itemsize, shape)
    return frame.numpy().view(dtype).reshape(shape)


_RESTORERS: dict[int, Callable[..., Any]] = {
    _DENSE: _restore_dense,
    _META: _restore_meta,
    _COO: _restore_coo,
    _COMPRESSED: _restore_compressed,
    _NESTED: _restore_nested,
    _ARRAY: _restore_array,
}
