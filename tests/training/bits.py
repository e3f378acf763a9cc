"""Compares what two runs gave, to the last bit: the sign of a zero and the place of a NaN count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as trees

__all__ = ["assert_bits"]


def assert_bits(found: Any, expected: Any, what: str) -> None:
    """Equal structures and types, and tensors equal in type, shape, ``requires_grad`` and every bit.

    Args:
        found: any nested value.
        expected: what it must equal.
        what: names the value in the error.
    """
    found_leaves, found_tree = trees.tree_flatten(found)
    leaves, tree = trees.tree_flatten_with_path(expected)
    assert found_tree == tree, f"{what}: the structure is {found_tree}, expected {tree}"
    for one, (path, other) in zip(found_leaves, leaves, strict=True):
        where = what + trees.keystr(path)
        assert type(one) is type(other), f"{where}: {type(one)}, expected {type(other)}"
        if isinstance(other, Tensor):
            _assert_tensor(one, other, where)
        else:
            assert one == other, where


def _assert_tensor(found: Tensor, expected: Tensor, where: str) -> None:
    for name in ("dtype", "shape", "layout", "requires_grad"):
        assert getattr(found, name) == getattr(expected, name), f"{where}: another {name}"
    if expected.layout is torch.sparse_coo:
        found, expected = found.coalesce(), expected.coalesce()
        assert torch.equal(found.indices(), expected.indices()), f"{where}: other places"
        found, expected = found.values(), expected.values()
    differ = (_bits(found) != _bits(expected)).nonzero()
    if len(differ):
        apart = (found.detach() - expected.detach()).abs().max()
        raise AssertionError(f"{where}: {len(differ)} other bytes; at most {apart} apart")


def _bits(tensor: Tensor) -> Tensor:
    plain = tensor.detach().resolve_conj().resolve_neg()
    return plain.contiguous().reshape(-1).view(torch.uint8)
