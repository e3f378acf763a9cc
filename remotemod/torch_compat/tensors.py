"""Private attributes of tensors and storages, and the fused operations of optimizers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.torch_compat.private import MISSING, Private

__all__ = [
    "coo_parts",
    "is_lazy_zero",
    "multiply_all_",
    "norm_of_all",
    "ragged_dimension",
    "untyped",
    "version_of",
]

_IS_ZEROTENSOR = Private(
    "torch.Tensor._is_zerotensor",
    relied_on="tells torch's lazy zeros, which have no memory until they are cloned, from a freed tensor",
    without="lazy zeros (they come from some backward passes) cannot be sent",
)
_INDICES = Private(
    "torch.Tensor._indices",
    relied_on="the indices of a sparse tensor, coalesced or not",
    without="sparse tensors are coalesced before they are sent",
    instead="torch.Tensor.coalesce, then indices",
)
_VALUES = Private(
    "torch.Tensor._values",
    relied_on="the values of a sparse tensor, coalesced or not",
    without="sparse tensors are coalesced before they are sent",
    instead="torch.Tensor.coalesce, then values",
)
_RAGGED_INDEX = Private(
    "torch.nested._internal.nested_tensor.NestedTensor._ragged_idx",
    relied_on="the dimension of a jagged tensor whose sizes differ",
    without="jagged tensors cannot be sent, and no gradients flow through them",
    find=lambda: _a_jagged_tensor()._ragged_idx,
)
_UNTYPED_STORAGE = Private(
    "torch.storage.TypedStorage._untyped_storage",
    relied_on="the bytes of a typed storage, without a warning",
    without="the public way is taken, and its warning is kept quiet",
    instead="torch.storage.TypedStorage.untyped",
    find=lambda: _a_typed_storage()._untyped_storage,
)
_VERSION = Private(
    "torch.Tensor._version",
    relied_on="counts the changes that were made to a tensor in place",
    without="recompute=True keeps a copy of each buffer, changed or not",
)
_FOREACH_NORM = Private(
    "torch._foreach_norm",
    relied_on="the norms of many tensors at once, to the bit what torch's own clip_grad_norm_ takes",
    without="norms are taken one by one, and may differ from torch's in the last bit",
    instead="torch.linalg.vector_norm",
)
_FOREACH_MUL = Private(
    "torch._foreach_mul_",
    relied_on="multiplies many tensors in place at once",
    without="they are multiplied one by one",
    instead="torch.Tensor.mul_",
)


def _a_typed_storage() -> Any:
    of: Any = torch.empty(1)  # untyped in torch
    return of._typed_storage()


def is_lazy_zero(tensor: Tensor) -> bool:
    """Whether a tensor is torch's lazy zero, which has no memory yet."""
    return _IS_ZEROTENSOR.is_here and tensor._is_zerotensor()


def coo_parts(tensor: Tensor) -> tuple[bool, Tensor, Tensor]:
    """Whether a sparse tensor is coalesced, its indices and its values."""
    if _INDICES.is_here and _VALUES.is_here:
        return tensor.is_coalesced(), tensor._indices(), tensor._values()
    whole = tensor.coalesce()
    return True, whole.indices(), whole.values()


def _a_jagged_tensor() -> Any:
    return torch.nested.nested_tensor([torch.empty(1)], layout=torch.jagged)


def ragged_dimension(tensor: Any) -> int:
    """The dimension of a jagged tensor whose sizes differ.

    Raises:
        ProtocolError: this torch does not say.
    """
    dimension = getattr(tensor, "_ragged_idx", None)
    if not isinstance(dimension, int):
        raise ProtocolError(_RAGGED_INDEX.complaint())
    return dimension


def untyped(storage: Any) -> Any:
    """The bytes of a typed storage."""
    if _UNTYPED_STORAGE.is_here:
        return storage._untyped_storage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return storage.untyped()


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor has been changed in place; None where torch does not say."""
    return tensor._version if _VERSION.is_here else None


def norm_of_all(tensors: Sequence[Tensor], norm_type: float) -> list[Tensor]:
    """The norm of each tensor."""
    fused = _FOREACH_NORM.found
    if not tensors:
        return []
    if fused is MISSING:
        return [torch.linalg.vector_norm(tensor, norm_type) for tensor in tensors]
    return list(fused(list(tensors), norm_type))


def multiply_all_(tensors: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply each tensor in place."""
    fused = _FOREACH_MUL.found
    if fused is not MISSING:
        fused(list(tensors), factor)
        return
    for tensor in tensors:
        tensor.mul_(factor)
