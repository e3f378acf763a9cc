"""The memory of dense tensors as frames, and tensors laid over frames.

A frame is a contiguous one-dimensional uint8 CPU tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.torch_compat.tensors import is_lazy_zero

__all__ = ["dense_order", "dense_strides", "flat_bytes", "lay_over", "take_frame"]

_CPU = torch.device("cpu")


def dense_order(tensor: Tensor) -> list[int] | None:
    """The dimensions of a strided tensor as they lie in its memory, which they fill; None for others.

    None also where they lie in their own order. What computes with a tensor may round otherwise where it lies
    otherwise (``channels_last``), so the order has to arrive.
    """
    if tensor.is_contiguous():
        return None
    shape, strides = tensor.shape, tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda dim: (-strides[dim], dim))
    filled = zip(shape, strides, dense_strides(shape, order), strict=True)
    if any(size > 1 and stride != dense for size, stride, dense in filled):
        return None
    # What was freed has strides still.
    return order if tensor.untyped_storage().nbytes() >= tensor.nbytes else None


def flat_bytes(tensor: Tensor) -> Tensor:
    """A strided tensor's bytes as a frame, which shares its memory where the tensor is a contiguous CPU one."""
    if not tensor.is_cpu:
        tensor = tensor.cpu()
    elif not _has_memory(tensor):
        tensor = tensor.clone()
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    try:
        tensor = tensor.contiguous()
    except NotImplementedError:
        # torch moves no items narrower than a byte (int4, bit, ...); as bytes it does.
        tensor = tensor.view(torch.uint8).contiguous()
    start = tensor.storage_offset() * tensor.itemsize
    return _share(tensor.untyped_storage(), torch.uint8, start, (tensor.nbytes,))


def _has_memory(tensor: Tensor) -> bool:
    """Whether a CPU tensor's bytes can be read; False for torch's lazy zeros, which have none until they are cloned.

    Raises:
        ProtocolError: there are none to be had.
    """
    try:
        if tensor.data_ptr() or not tensor.nbytes:
            return True
    except RuntimeError as error:
        raise ProtocolError(
            f"it has no memory of its own ({error}); torch.func's transforms end at a process boundary: "
            "call the remote module outside of them"
        ) from error
    if is_lazy_zero(tensor):
        return False
    raise ProtocolError(
        "its memory is gone (its storage was resized to nothing, or it wraps another tensor); "
        "restore it first, or send what it wraps"
    )


def _share(
    storage: torch.UntypedStorage,
    dtype: torch.dtype,
    offset: int | torch.SymInt,
    shape: Sequence[int],
    strides: tuple[Sequence[int], ...] = (),
) -> Tensor:
    """Lay a tensor over a storage: no view, for which autograd and odd strides have rules."""
    tensor = torch.empty(0, dtype=dtype, device=_CPU)
    tensor.set_(storage, offset, shape, *strides)
    return tensor


def take_frame(frames: Iterator[Tensor], itemsize: int, shape: list[int]) -> Tensor:
    """The next frame, in memory that items of a size can lie over.

    Raises:
        ProtocolError: there is none, or it has not the bytes of the shape.
    """
    frame = next(frames, None)
    if frame is None:
        raise ProtocolError("the message has fewer frames than its header describes")
    expected = prod(shape) * itemsize
    if frame.numel() != expected:
        raise ProtocolError(f"a frame has {frame.numel()} bytes where {expected} were described")
    if frame.storage_offset() % itemsize or frame.data_ptr() % itemsize:
        return frame.clone()
    return frame


def dense_strides(shape: Sequence[int], order: list[int]) -> list[int]:
    """The strides of a tensor that fills its memory, with its dimensions in an order.

    Raises:
        ProtocolError: that is no order of them.
    """
    if sorted(order) != list(range(len(shape))):
        raise ProtocolError(f"a tensor's dimensions lie as {order}, which is no order of them")
    strides, step = [0] * len(shape), 1
    for dim in reversed(order):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return strides


def lay_over(
    frame: Tensor, dtype: torch.dtype, shape: Sequence[int], *strides: Sequence[int]
) -> Tensor:
    """The tensor whose bytes a frame is; it shares the frame's memory unless that is misaligned for it.

    Args:
        frame: as many bytes as the shape asks for.
        dtype: the tensor's dtype.
        shape: the tensor's shape.
        strides: its strides, where it does not lie in the order of its dimensions.
    """
    itemsize = dtype.itemsize
    if frame.storage_offset() % itemsize or frame.data_ptr() % itemsize:
        frame = frame.clone()
    offset = frame.storage_offset() // itemsize
    return _share(frame.untyped_storage(), dtype, offset, shape, strides)
