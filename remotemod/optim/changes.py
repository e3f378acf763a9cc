"""Differences between a group's hyperparameters and what was sent to an owner last."""

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
    """A deep copy, tensors on the CPU: later changes in place do not reach it."""
    return copy.deepcopy(map_tensors(value, lambda tensor: tensor.detach().cpu()))


def changes_between(
    sent: Mapping[str, Any], group: Mapping[str, Any], excluded: Collection[str]
) -> Change | None:
    """The change that an owner needs; None if it is up to date.

    Args:
        sent: the hyperparameters that it has.
        group: the group as it is now.
        excluded: keys that are never sent.
    """
    values = {
        key: copied(value)
        for key, value in group.items()
        if key not in excluded and not (key in sent and _same(sent[key], value))
    }
    removed = [key for key in sent if key not in group]
    return Change(values, removed) if values or removed else None


def merged(sent: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The hyperparameters that an owner has after a change."""
    values = {**sent, **change.values}
    return {key: value for key, value in values.items() if key not in change.removed}


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
    return getattr(same, "ndim", 0) == 0 and bool(same)  # arrays are sent again
