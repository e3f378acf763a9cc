"""The parts of one optimizer: which owner has which parameters, and what it was told of its groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from remotemod.optim.changes import changes_between, copied, merged
from remotemod.optim.given import Group, by_site
from remotemod.optim.part import Change, Placed, Recipe, Share, drop, part_of, place
from remotemod.optim.sites import HERE, Site, Sites, ask, settle

__all__ = ["NOT_SENT", "Parts"]

NOT_SENT = ("params", "param_names")
"""What a group has that is no hyperparameter."""


class Parts:
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
        self.sites = Sites()
        self.layout: list[list[Site]] = []
        self.defaults: dict[str, Any] = {}
        self._recipe = recipe
        self._parts: dict[Site, Any] = {}
        self._told: dict[Site, dict[int, dict[str, Any]]] = {}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __iter__(self) -> Any:
        return iter(self._parts)

    def ask(
        self, function: Callable[..., Any], done: str, args: Callable[[Site], tuple[Any, ...]]
    ) -> dict[Site, Any]:
        """Runs a function on every part, all at the same time.

        Args:
            function: what runs where the part is; it gets the part first.
            done: what it does, in the past tense, for the error if one of them fails.
            args: its further arguments at a site.
        """
        arguments = {site: (part, *args(site)) for site, part in self._parts.items()}
        return settle(ask(function, arguments, self.timeout), done)

    # --- groups -------------------------------------------------------------------------------

    def place(self, groups: list[Group]) -> list[dict[str, Any]]:
        """Gives each owner its shares of new groups; all of them take theirs, or none does.

        Returns:
            The groups as the caller has them.
        """
        first = len(self.layout)
        shares: dict[Site, list[Share]] = {}
        for number, group in enumerate(groups, first):
            for site, sources in by_site(group.entries).items():
                shares.setdefault(site, []).append(Share(number, _options(group, site), sources))
        arguments = {
            site: (self._parts.get(site), self._recipe, each) for site, each in shares.items()
        }
        futures = ask(place, arguments, self.timeout)
        try:
            placed: dict[Site, Placed] = settle(futures)
        except Exception:
            done = [site for site, future in futures.items() if future.exception() is None]
            taken = {site: (self._parts[site], first) for site in done if site in self._parts}
            ask(drop, taken, self.timeout)
            raise
        for number, group in enumerate(groups, first):
            self.layout.append(_sites_of(group, number, shares, placed))
        for site, found in placed.items():
            if found.part is not None:
                self._parts[site] = found.part
            if site is not HERE:
                self._told.setdefault(site, {}).update(copied(found.options))
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
        part = self._parts.get(HERE)
        return None if part is None else part_of(part).group(number)

    @property
    def optimizer_here(self) -> Optimizer | None:
        """The optimizer of the parameters that are here; None without any."""
        part = self._parts.get(HERE)
        return None if part is None else part_of(part).optimizer

    @property
    def state_here(self) -> defaultdict[Tensor, Any]:
        """The state of the parameters that are here."""
        optimizer = self.optimizer_here
        return defaultdict(dict) if optimizer is None else optimizer.state

    # --- hyperparameters ----------------------------------------------------------------------

    def news(self, groups: list[dict[str, Any]]) -> dict[Site, dict[int, Change]]:
        """What each owner has not been told of its groups yet; the part here has the very groups.

        Args:
            groups: all groups as they are now.
        """
        return {
            site: {
                number: change
                for number, told in self._told.get(site, {}).items()
                if (change := changes_between(told, groups[number], NOT_SENT)) is not None
            }
            for site in self._parts
        }

    def heard(self, news: Mapping[Site, Mapping[int, Change]]) -> None:
        """Notes that the owners know what they were told."""
        for site, changes in news.items():
            for number, change in changes.items():
                self._told[site][number] = merged(self._told[site][number], change)

    def heard_all(self, options: Mapping[int, dict[str, Any]]) -> None:
        """Notes that the owners know these hyperparameters of each group, and no others."""
        for told in self._told.values():
            told.update({number: copied(options[number]) for number in told})


def _options(group: Group, site: Site) -> dict[str, Any]:
    """A group's own hyperparameters as a part takes them; only the part here knows names."""
    options = {key: value for key, value in group.options.items() if key != "param_names"}
    named = site is HERE and group.names is not None
    return {**options, "param_names": group.names} if named else options


def _sites_of(
    group: Group, number: int, shares: Mapping[Site, list[Share]], placed: Mapping[Site, Placed]
) -> list[Site]:
    """The site of each parameter of a group."""
    counts = {
        site: iter(count)
        for site, each in shares.items()
        for share, count in zip(each, placed[site].counts, strict=True)
        if share.group == number
    }
    return [entry.site for entry in group.entries for _ in range(next(counts[entry.site]))]
