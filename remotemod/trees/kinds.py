"""The table of kinds: what each class of values is made of."""

from __future__ import annotations

import enum
import functools
import sys
from types import (
    EllipsisType,
    MethodDescriptorType,
    ModuleType,
    NotImplementedType,
    SimpleNamespace,
    WrapperDescriptorType,
)
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from remotemod.torch_compat.script import script_classes
from remotemod.trees.containers import (
    ATOM,
    BUILTIN_KINDS,
    OPAQUE,
    STRUCT_SEQUENCE,
    TENSOR,
    VIEW_KINDS,
    Kind,
    is_struct_sequence,
)
from remotemod.trees.functions import FUNCTION_KINDS
from remotemod.trees.objects import is_built_in, object_kind

__all__ = ["ATOMS", "kind_of"]

ATOMS = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        range,
        EllipsisType,
        NotImplementedType,
        ModuleType,
        MethodDescriptorType,
        WrapperDescriptorType,
        torch.Size,
        torch.dtype,
        torch.device,
        torch.layout,
        torch.memory_format,
        torch.SymInt,
        torch.SymFloat,
        torch.SymBool,
    }
)
"""The classes whose instances hold nothing."""


class _Packed(Kind):
    """A packed sequence; its batch sizes stay on the CPU, wherever the data goes."""

    def parts(self, value: PackedSequence) -> Any:
        return value.data, value.sorted_indices, value.unsorted_indices

    def labels(self, value: PackedSequence) -> Any:
        return ".data", ".sorted_indices", ".unsorted_indices"

    def finish(self, value: PackedSequence, twin: Any, parts: Any) -> Any:
        data, *indices = parts
        return PackedSequence(data, value.batch_sizes, *indices)


class _Array(Kind):
    """A numpy array; one of Python objects may hold anything."""

    is_regular = False

    def is_regular_value(self, value: Any) -> bool:
        return not value.dtype.hasobject


_KINDS: dict[type, Kind] = {
    **dict.fromkeys(ATOMS, ATOM),
    **BUILTIN_KINDS,
    **VIEW_KINDS,
    **FUNCTION_KINDS,
    PackedSequence: _Packed(),
    SimpleNamespace: object_kind(SimpleNamespace),
    object: ATOM,
}


@functools.lru_cache(maxsize=1024)
def kind_of(cls: Any) -> Kind:
    """Give the kind of a class."""
    known = _KINDS.get(cls)
    if known is not None:
        return known
    if issubclass(cls, torch.Tensor):
        return TENSOR
    if isinstance(cls, enum.EnumMeta):
        return ATOM
    if issubclass(cls, type):
        return FUNCTION_KINDS[type]
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(cls, (numpy.ndarray, numpy.generic)):
        return _Array()
    if issubclass(cls, nn.Module) and issubclass(cls, script_classes()):
        return OPAQUE
    if is_struct_sequence(cls):
        return STRUCT_SEQUENCE
    return OPAQUE if is_built_in(cls) else object_kind(cls)
