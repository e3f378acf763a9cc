"""The shards of one optimizer: which owner has which parameters, and which hyperparameters were sent to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from remotemod.optim.changes import changes_between, copied, merged
from remotemod.optim.locations import LOCAL, Location, Locations, gather, scatter
from remotemod.optim.parameters import Group, by_location
from remotemod.optim.shard import Change, Placed, Recipe, Share, drop, place, shard_of

__all__ = ["NOT_SENT", "Shards"]

NOT_SENT = ("params", "param_names")
"""Keys of a group that are no hyperparameters."""


class Shards:
    """An optimizer on each owner of parameters.

    Args:
        recipe: how each of them is built.

    Attributes:
        timeout: seconds that each owner may take for one request; None for its cluster's timeout.
        locations: the known owners.
        layout: the location of each parameter of each group, in order.
        defaults: the optimizer's defaults.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.timeout: float | None = None
        self.locations = Locations()
        self.layout: list[list[Location]] = []
        self.defaults: dict[str, Any] = {}
        self._recipe = recipe
        self._shards: dict[Location, Any] = {}
        self._sent: dict[Location, dict[int, dict[str, Any]]] = {}

    def __bool__(self) -> bool:
        return bool(self._shards)

    def __iter__(self) -> Any:
        return iter(self._shards)

    def scatter(
        self, function: Callable[..., Any], done: str, args: Callable[[Location], tuple[Any, ...]]
    ) -> dict[Location, Any]:
        """Run a function on every shard, all at the same time.

        Args:
            function: runs where the shard is, and gets it as its first argument.
            done: the action, in the past tense, for the error if one of them fails.
            args: its further arguments at a location.
        """
        arguments = {location: (shard, *args(location)) for location, shard in self._shards.items()}
        return gather(scatter(function, arguments, self.timeout), done)

    # --- groups -------------------------------------------------------------------------------

    def place(self, groups: list[Group]) -> list[dict[str, Any]]:
        """Add groups; each owner adds its share, or, where one fails, none does.

        Returns:
            The groups as the caller has them.
        """
        first = len(self.layout)
        shares: dict[Location, list[Share]] = {}
        for number, group in enumerate(groups, first):
            for location, sources in by_location(group.entries).items():
                shares.setdefault(location, []).append(
                    Share(number, _options(group, location), sources)
                )
        arguments = {
            location: (self._shards.get(location), self._recipe, own_shares)
            for location, own_shares in shares.items()
        }
        futures = scatter(place, arguments, self.timeout)
        try:
            placed: dict[Location, Placed] = gather(futures)
        except Exception:
            placed_at = [
                location for location, future in futures.items() if future.exception() is None
            ]
            added = {
                location: (self._shards[location], first)
                for location in placed_at
                if location in self._shards
            }
            scatter(drop, added, self.timeout)
            raise
        for number, group in enumerate(groups, first):
            self.layout.append(_locations_of(group, number, shares, placed))
        for location, answer in placed.items():
            if answer.shard is not None:
                self._shards[location] = answer.shard
            if location is not LOCAL:
                self._sent.setdefault(location, {}).update(copied(answer.options))
            self.defaults = self.defaults or answer.defaults or {}
        return [
            self._callers_group(number, group, list(placed.values()))
            for number, group in enumerate(groups, first)
        ]

    def _callers_group(self, number: int, group: Group, placed: list[Placed]) -> dict[str, Any]:
        """A group as the caller has it; the local shard's own, where that has parameters of it."""
        param_group = self.local_group(number)
        if param_group is None:
            remote = [answer.options[number] for answer in placed if number in answer.options]
            options = remote[0] if remote else {**self.defaults, **group.options}
            param_group = {"params": [], **options}
        if group.names is not None:
            param_group["param_names"] = list(group.names)
        return param_group

    def local_group(self, number: int) -> dict[str, Any] | None:
        """A group of the local shard; None if none of its parameters is in this process."""
        shard = self._shards.get(LOCAL)
        return None if shard is None else shard_of(shard).group(number)

    @property
    def local_optimizer(self) -> Optimizer | None:
        """The optimizer of the parameters of this process; None without any."""
        shard = self._shards.get(LOCAL)
        return None if shard is None else shard_of(shard).optimizer

    @property
    def local_state(self) -> defaultdict[Tensor, Any]:
        """The state of the parameters of this process."""
        optimizer = self.local_optimizer
        return defaultdict(dict) if optimizer is None else optimizer.state

    # --- hyperparameters ----------------------------------------------------------------------

    def pending(self, groups: list[dict[str, Any]]) -> dict[Location, dict[int, Change]]:
        """The changes that each owner has not got yet; none for the local shard, whose groups are the caller's.

        Args:
            groups: all groups as they are now.
        """
        return {
            location: {
                number: change
                for number, sent in self._sent.get(location, {}).items()
                if (change := changes_between(sent, groups[number], NOT_SENT)) is not None
            }
            for location in self._shards
        }

    def acknowledge(self, pending: Mapping[Location, Mapping[int, Change]]) -> None:
        """Record that the owners have applied these changes."""
        for location, changes in pending.items():
            for number, change in changes.items():
                self._sent[location][number] = merged(self._sent[location][number], change)

    def acknowledge_all(self, options: Mapping[int, dict[str, Any]]) -> None:
        """Record that the owners have these hyperparameters of each group, and no others."""
        for sent in self._sent.values():
            sent.update({number: copied(options[number]) for number in sent})


def _options(group: Group, location: Location) -> dict[str, Any]:
    """A group's own hyperparameters for a shard; only the local one gets names."""
    options = {key: value for key, value in group.options.items() if key != "param_names"}
    named = location is LOCAL and group.names is not None
    return {**options, "param_names": group.names} if named else options


def _locations_of(
    group: Group,
    number: int,
    shares: Mapping[Location, list[Share]],
    placed: Mapping[Location, Placed],
) -> list[Location]:
    """The location of each parameter of a group."""
    counts = {
        location: iter(count)
        for location, own_shares in shares.items()
        for share, count in zip(own_shares, placed[location].counts, strict=True)
        if share.group == number
    }
    return [entry.location for entry in group.entries for _ in range(next(counts[entry.location]))]
