"""Puts the state of an optimizer's parts together in torch's format, and takes it apart again."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from remotemod.optim.locations import Location

__all__ = ["number_state", "numbered", "saved_groups", "share_state"]


def numbered(layout: Iterable[Iterable[Location]]) -> dict[Location, list[int]]:
    """The number of each site's parameters among all, in the order that the site has them."""
    found: dict[Location, list[int]] = {}
    for number, location in enumerate(itertools.chain(*layout)):
        found.setdefault(location, []).append(number)
    return found


def number_state(
    shards: Mapping[Location, Mapping[Any, Any]], places: Mapping[Location, Sequence[int]]
) -> dict[Any, Any]:
    """The state of all parameters by their number; what belongs to no parameter comes last.

    Args:
        parts: the state of each part, by its own numbers.
        places: see :func:`numbered`.
    """
    found: dict[int, Any] = {}
    others: dict[Any, Any] = {}
    for location, state in shards.items():
        for key, value in state.items():
            if isinstance(key, int):
                found[places[location][key]] = value
            else:
                others.setdefault(key, value)
    return {**dict(sorted(found.items())), **others}


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
    places: Mapping[Location, Sequence[int]],
    locations: Iterable[Location],
) -> dict[Location, dict[Any, Any]]:
    """The state of each site's parameters, by its own numbers.

    Args:
        state: the state as it was saved.
        groups: the groups that say which parameter has which key in ``state``.
        places: see :func:`numbered`.
        sites: whose state is wanted.
    """
    keys = list(itertools.chain(*(group["params"] for group in groups)))
    taken = set(keys)
    # A number that no group knows is left over from another optimizer.
    others = {k: v for k, v in state.items() if k not in taken and not isinstance(k, int)}
    return {
        location: {
            **{
                own: state[keys[number]]
                for own, number in enumerate(places[location])
                if keys[number] in state
            },
            **others,
        }
        for location in locations
    }
