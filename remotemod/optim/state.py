"""Merge the states of an optimizer's shards into torch's format, and split such a state again."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from remotemod.optim.locations import Location

__all__ = ["number_state", "numbered", "saved_groups", "share_state"]


def numbered(layout: Iterable[Iterable[Location]]) -> dict[Location, list[int]]:
    """The number of each location's parameters among all, in the location's own order."""
    numbers: dict[Location, list[int]] = {}
    for number, location in enumerate(itertools.chain(*layout)):
        numbers.setdefault(location, []).append(number)
    return numbers


def number_state(
    shards: Mapping[Location, Mapping[Any, Any]], numbers: Mapping[Location, Sequence[int]]
) -> dict[Any, Any]:
    """The state of all parameters by their number; what belongs to no parameter comes last.

    Args:
        shards: the state of each shard, by its own numbers.
        numbers: see :func:`numbered`.
    """
    by_number: dict[int, Any] = {}
    others: dict[Any, Any] = {}
    for location, state in shards.items():
        for key, value in state.items():
            if isinstance(key, int):
                by_number[numbers[location][key]] = value
            else:
                others.setdefault(key, value)
    return {**dict(sorted(by_number.items())), **others}


def saved_groups(
    groups: Sequence[Mapping[str, Any]], layout: Sequence[Sequence[Location]]
) -> list[dict[str, Any]]:
    """A copy of saved groups.

    Raises:
        ValueError: they are not as many, or not of the sizes, that the optimizer has.
    """
    if len(groups) != len(layout):
        raise ValueError(
            f"the saved state has {len(groups)} parameter groups and the optimizer {len(layout)}; build the "
            "optimizer with the groups that it was saved with"
        )
    for number, (group, locations) in enumerate(zip(groups, layout, strict=True)):
        if len(group["params"]) != len(locations):
            raise ValueError(
                f"group {number} of the saved state has {len(group['params'])} parameters and the optimizer's "
                f"{len(locations)}; build the optimizer over the parameters that it was saved with, in that order"
            )
    return copy.deepcopy([dict(group) for group in groups])


def share_state(
    state: Mapping[Any, Any],
    groups: Iterable[Mapping[str, Any]],
    numbers: Mapping[Location, Sequence[int]],
    locations: Iterable[Location],
) -> dict[Location, dict[Any, Any]]:
    """The state of each location's parameters, by its own numbers.

    Args:
        state: the state as it was saved.
        groups: the groups that say which parameter has which key in ``state``.
        numbers: see :func:`numbered`.
        locations: those to split it for.
    """
    keys = list(itertools.chain(*(group["params"] for group in groups)))
    own_keys = set(keys)
    # A number that is in no group is left over from another optimizer.
    others = {k: v for k, v in state.items() if k not in own_keys and not isinstance(k, int)}
    return {
        location: {
            **{
                own: state[keys[number]]
                for own, number in enumerate(numbers[location])
                if keys[number] in state
            },
            **others,
        }
        for location in locations
    }
