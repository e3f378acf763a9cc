"""Tensors of every kind for the tests of transports, and what it means that one arrived as it was."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

QUANTIZED = (torch.qint8, torch.quint8, torch.qint32, torch.quint4x2, torch.quint2x4)
DTYPES = sorted(
    {v for v in vars(torch).values() if isinstance(v, torch.dtype)} - set(QUANTIZED), key=str
)


def raw(tensor: Tensor) -> bytes:
    """The bytes of a dense tensor's items in their order, NaN payloads and all."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    if not plain.is_contiguous():
        # By their size alone: not every dtype can be copied.
        sizes = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        plain = plain.view(sizes.get(plain.itemsize, plain.dtype)).contiguous()
    return ctypes.string_at(plain.data_ptr(), plain.nbytes) if plain.nbytes else b""


def filled(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> Tensor:
    """A contiguous tensor of arbitrary bytes (of 0 and 1 where those alone are legal)."""
    count = torch.Size(shape).numel() * dtype.itemsize
    if not count:
        return torch.empty(shape, dtype=dtype)
    maker = torch.Generator().manual_seed(seed)
    top = 2 if dtype is torch.bool else 256
    return torch.randint(top, (count,), dtype=torch.uint8, generator=maker).view(dtype).view(shape)


def same(found: Any, sent: Tensor) -> None:
    """Asserts that a dense tensor arrived: type, dtype, shape, flag and bytes."""
    assert type(found) is type(sent)
    assert (found.dtype, found.shape) == (sent.dtype, sent.shape)
    assert found.requires_grad == sent.requires_grad
    assert raw(found) == raw(sent)


SHAPES = st.lists(st.integers(0, 5), max_size=5).map(tuple)


def _as_it_is(t: Tensor) -> Tensor:
    return t


def _transposed(t: Tensor) -> Tensor:
    return t.permute(tuple(reversed(range(t.dim()))))


def _stepped(t: Tensor) -> Tensor:
    return t[..., ::2] if t.dim() else t


def _narrowed(t: Tensor) -> Tensor:
    return t.narrow(0, t.shape[0] // 2, t.shape[0] - t.shape[0] // 2) if t.dim() else t


def _expanded(t: Tensor) -> Tensor:
    return t.unsqueeze(0).expand(3, *t.shape)


def _overlapping(t: Tensor) -> Tensor:
    size = t.numel()
    return t.as_strided((size - 1, 2), (1, 1)) if t.is_contiguous() and size > 1 else t


def _conjugated(t: Tensor) -> Tensor:
    return t.conj() if t.is_complex() else t


def _negated(t: Tensor) -> Tensor:
    # ComplexHalf has too few operators for a lazily negated view of it.
    return t.conj().imag if t.is_complex() and t.dtype is not torch.complex32 else t


VIEWS: list[Callable[[Tensor], Tensor]] = [
    *(_as_it_is, _transposed, _stepped, _narrowed, _expanded, _overlapping),
    *(_conjugated, _negated),
]


@st.composite
def dense(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = SHAPES) -> Tensor:
    """A strided CPU tensor of any dtype, seen through up to two views, which may be a leaf that requires grad."""
    made = filled(draw(st.sampled_from(DTYPES)), draw(shapes), draw(st.integers(0, 2**31)))
    for view in draw(st.lists(st.sampled_from(VIEWS), max_size=2)):
        made = view(made)
    if (made.is_floating_point() or made.is_complex()) and draw(st.booleans()):
        made.requires_grad_()
    return made
