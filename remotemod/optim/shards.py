"""The parts of one optimizer: which owner has which parameters, and what it was told of its groups."""

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
"""What a group has that is no hyperparameter."""


class Shards:
    """An optimizer on each owner of parameters.

    Args:
        recipe: how each of them is built.

    Attributes:
        timeout: seconds that each owner may take for one request; None for its cluster's bound.
        sites: the owners that are known.
        layout: the site of each parameter of each group, in order.
        defaults: the optimizer's defaults.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.timeout: float | None = None
        self.locations = Locations()
        self.layout: list[list[Location]] = []
        self.defaults: dict[str, Any] = {}
        self._recipe = recipe
        self._shards: dict[Location, Any] = {}
        self._told: dict[Location, dict[int, dict[str, Any]]] = {}

    def __bool__(self) -> bool:
        return bool(self._shards)

    def __iter__(self) -> Any:
        return iter(self._shards)

    def scatter(
        self, function: Callable[..., Any], done: str, args: Callable[[Location], tuple[Any, ...]]
    ) -> dict[Location, Any]:
        """Runs a function on every part, all at the same time.

        Args:
            function: what runs where the part is; it gets the part first.
            done: what it does, in the past tense, for the error if one of them fails.
            args: its further arguments at a site.
        """
        arguments = {location: (shard, *args(location)) for location, shard in self._shards.items()}
        return gather(scatter(function, arguments, self.timeout), done)

    # --- groups -------------------------------------------------------------------------------

    def place(self, groups: list[Group]) -> list[dict[str, Any]]:
        """Gives each owner its shares of new groups; all of them take theirs, or none does.

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
            location: (self._shards.get(location), self._recipe, each)
            for location, each in shares.items()
        }
        futures = scatter(place, arguments, self.timeout)
        try:
            placed: dict[Location, Placed] = gather(futures)
        except Exception:
            done = [location for location, future in futures.items() if future.exception() is None]
            taken = {
                location: (self._shards[location], first)
                for location in done
                if location in self._shards
            }
            scatter(drop, taken, self.timeout)
            raise
        for number, group in enumerate(groups, first):
            self.layout.append(_sites_of(group, number, shares, placed))
        for location, found in placed.items():
            if found.shard is not None:
                self._shards[location] = found.shard
            if location is not LOCAL:
                self._told.setdefault(location, {}).update(copied(found.options))
            self.defaults = self.defaults or found.defaults or {}
        return [
            self._as_here(number, group, list(placed.values()))
            for number, group in enumerate(groups, first)
        ]

    def _as_here(self, number: int, group: Group, placed: list[Placed]) -> dict[str, Any]:
        """A group as the caller has it; that of the part here itself, where it has parameters."""
        made = self.here(number)
        if made is None:
            remote = [each.options[number] for each in placed if number in each.options]
            made = {"params": [], **(remote[0] if remote else {**self.defaults, **group.options})}
        if group.names is not None:
            made["param_names"] = list(group.names)
        return made

    def here(self, number: int) -> dict[str, Any] | None:
        """A group of the part here; None if none of its parameters is here."""
        shard = self._shards.get(LOCAL)
        return None if shard is None else shard_of(shard).group(number)

    @property
    def optimizer_here(self) -> Optimizer | None:
        """The optimizer of the parameters that are here; None without any."""
        shard = self._shards.get(LOCAL)
        return None if shard is None else shard_of(shard).optimizer

    @property
    def state_here(self) -> defaultdict[Tensor, Any]:
        """The state of the parameters that are here."""
        optimizer = self.optimizer_here
        return defaultdict(dict) if optimizer is None else optimizer.state

    # --- hyperparameters ----------------------------------------------------------------------

    def news(self, groups: list[dict[str, Any]]) -> dict[Location, dict[int, Change]]:
        """What each owner has not been told of its groups yet; the part here has the very groups.

        Args:
            groups: all groups as they are now.
        """
        return {
            location: {
                number: change
                for number, told in self._told.get(location, {}).items()
                if (change := changes_between(told, groups[number], NOT_SENT)) is not None
            }
            for location in self._shards
        }

    def heard(self, news: Mapping[Location, Mapping[int, Change]]) -> None:
        """Notes that the owners know what they were told."""
        for location, changes in news.items():
            for number, change in changes.items():
                self._told[location][number] = merged(self._told[location][number], change)

    def heard_all(self, options: Mapping[int, dict[str, Any]]) -> None:
        """Notes that the owners know these hyperparameters of each group, and no others."""
        for told in self._told.values():
            told.update({number: copied(options[number]) for number in told})


def _options(group: Group, location: Location) -> dict[str, Any]:
    """A group's own hyperparameters as a part takes them; only the part here knows names."""
    options = {key: value for key, value in group.options.items() if key != "param_names"}
    named = location is LOCAL and group.names is not None
    return {**options, "param_names": group.names} if named else options


def _sites_of(
    group: Group,
    number: int,
    shares: Mapping[Location, list[Share]],
    placed: Mapping[Location, Placed],
) -> list[Location]:
    """The site of each parameter of a group."""
    counts = {
        location: iter(count)
        for location, each in shares.items()
        for share, count in zip(each, placed[location].counts, strict=True)
        if share.group == number
    }
    return [entry.location for entry in group.entries for _ in range(next(counts[entry.location]))]
