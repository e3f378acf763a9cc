"""What has changed in a group's hyperparameters since an owner was told of them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from remotemod.optim.shard import Change
from remotemod.trees import map_tensors

__all__ = ["changes_between", "copied", "merged"]


def copied(value: Any) -> Any:
    """A copy that later changes in place do not reach."""
    return copy.deepcopy(map_tensors(value, lambda tensor: tensor.detach().cpu()))


def changes_between(
    told: Mapping[str, Any], group: Mapping[str, Any], left_out: Collection[str]
) -> Change | None:
    """What an owner must be told; None if it knows all.

    Args:
        told: what it was told last.
        group: the group as it is now.
        left_out: keys that do not concern it.
    """
    values = {
        key: copied(value)
        for key, value in group.items()
        if key not in left_out and not (key in told and _same(told[key], value))
    }
    gone = [key for key in told if key not in group]
    return Change(values, gone) if values or gone else None


def merged(told: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """What an owner knows after a change."""
    known = {**told, **change.values}
    return {key: value for key, value in known.items() if key not in change.gone}


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, Tensor):
        return old.dtype == new.dtype and torch.equal(old, new.detach().cpu())
    if isinstance(old, (list, tuple)):
        return len(old) == len(new) and all(map(_same, old, new))
    same = old == new
    return getattr(same, "ndim", 0) == 0 and bool(same)  # arrays are told again
