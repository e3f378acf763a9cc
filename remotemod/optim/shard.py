"""An owner's shard of an optimizer: a torch optimizer over its parameters, and the functions that callers run on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from remotemod.owner.module_functions import as_module
from remotemod.owner.owner import current_owner
from remotemod.trees import map_tensors, move_to_caller

__all__ = [
    "Change",
    "Placed",
    "Recipe",
    "Shard",
    "Share",
    "Source",
    "collect",
    "drop",
    "load",
    "place",
    "shard_of",
    "state",
    "step",
    "zero_grad",
]


class Source(NamedTuple):
    """Something that holds parameters on one owner.

    Attributes:
        value: a tensor, or a reference to one or to a module.
        whole: whether it is a module, all of whose parameters are meant.
        item: what was given together has one number: there a shared parameter counts once.
    """

    value: Any
    whole: bool
    item: int


class Share(NamedTuple):
    """One owner's share of a parameter group."""

    group: int
    options: dict[str, Any]
    sources: list[Source]


class Recipe(NamedTuple):
    """How each owner builds its optimizer."""

    cls: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Placed(NamedTuple):
    """The answer to :func:`place`.

    Attributes:
        shard: the owner's :class:`Shard`, or a reference to it.
        counts: how many parameters each source of each share adds.
        options: the hyperparameters of each group that has parameters there.
        defaults: the optimizer's defaults; None where there is nothing to optimize.
    """

    shard: Any
    counts: list[list[int]]
    options: dict[int, dict[str, Any]]
    defaults: dict[str, Any] | None


class Change(NamedTuple):
    """What differs in a group's hyperparameters: new values, and removed keys."""

    values: dict[str, Any]
    removed: list[str]


class Shard:
    """One owner's optimizer, which has as many groups as have parameters there.

    Attributes:
        optimizer: the optimizer; None as long as there is nothing to optimize.
        numbers: the caller's number of each of its groups.
    """

    def __init__(self) -> None:
        self.optimizer: Optimizer | None = None
        self.numbers: list[int] = []

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups."""
        return [] if self.optimizer is None else self.optimizer.param_groups

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, in order."""
        return [parameter for group in self.groups for parameter in group["params"]]

    def group(self, number: int) -> dict[str, Any] | None:
        """A group by the caller's number; None if it has no parameters here."""
        return self.groups[self.numbers.index(number)] if number in self.numbers else None

    def add(self, recipe: Recipe, groups: dict[int, dict[str, Any]]) -> None:
        """Add groups; the first ones build the optimizer."""
        if self.optimizer is None:
            self.optimizer = recipe.cls(list(groups.values()), *recipe.args, **recipe.kwargs)
        else:
            for group in groups.values():
                self.optimizer.add_param_group(group)
        self.numbers += groups


def shard_of(shard: Any) -> Shard:
    """The shard itself, given it or a reference to it."""
    local: Shard = shard if isinstance(shard, Shard) else shard.local_value()
    return local


def collect(sources: Sequence[Source], seen: dict[int, int] | None = None) -> list[list[Tensor]]:
    """The parameters that each source adds.

    Args:
        sources: tensors, references and modules.
        seen: the item that brought each parameter, by the parameter's identity; updated.

    Raises:
        TypeError: a reference is to something else than a parameter.
        ValueError: two items have a parameter in common.
    """
    seen = {} if seen is None else seen
    by_source = []
    for source in sources:
        added = []
        for parameter in _parameters(source):
            item = seen.get(id(parameter))
            if item is None:
                seen[id(parameter)] = source.item
                added.append(parameter)
            elif item != source.item:
                raise ValueError(
                    f"a parameter of shape {list(parameter.shape)}{_place()} was given twice; give each one "
                    "once and in one group (modules that share parameters: as one module that holds them all)"
                )
        by_source.append(added)
    return by_source


def _parameters(source: Source) -> list[Tensor]:
    value = source.value
    if isinstance(value, Tensor):
        return [value]
    value = as_module(value.local_value())
    if source.whole:
        return list(value.parameters())
    if isinstance(value, Tensor):
        return [value]
    hint = "the RemoteModule itself" if isinstance(value, nn.Module) else "remote_parameters()"
    raise TypeError(
        f"a reference{_place()} is to a {type(value).__name__}, which is no parameter; give {hint}"
    )


def _place() -> str:
    owner = current_owner()
    return "" if owner is None else f" on '{owner.name}'"


# --- called by the caller ---------------------------------------------------------------------


def place(shard: Any, recipe: Recipe, shares: Sequence[Share]) -> Placed:
    """Add shares to a shard, a new one if ``shard`` is None."""
    local = Shard() if shard is None else shard_of(shard)
    seen = {id(parameter): _OLD for parameter in local.parameters}
    held = [collect(share.sources, seen) for share in shares]
    groups = {
        share.group: {"params": list(itertools.chain(*each)), **share.options}
        for share, each in zip(shares, held, strict=True)
        if any(each)
    }
    if groups:
        local.add(recipe, groups)
    counts = [[len(added) for added in each] for each in held]
    options = {number: _options(group) for number in groups if (group := local.group(number))}
    if local.optimizer is None:
        return Placed(None, counts, {}, None)
    owner = current_owner()
    handle = shard if shard is not None else local if owner is None else owner.keep(local)
    return Placed(handle, counts, move_to_caller(options), dict(local.optimizer.defaults))


_OLD = -1  # the item of what the shard has already


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def drop(shard: Any, number: int) -> None:
    """Remove a group again, because another owner could not add its share."""
    local = shard_of(shard)
    if number in local.numbers:
        at = local.numbers.index(number)
        del local.numbers[at], local.groups[at]


def step(shard: Any, changes: dict[int, Change]) -> None:
    """One step, with the changed hyperparameters."""
    local = shard_of(shard)
    for number, change in changes.items():
        group = local.group(number)
        assert group is not None
        group.update(_own(change.values))
        for key in change.removed:
            group.pop(key, None)
    assert local.optimizer is not None
    local.optimizer.step()


def zero_grad(shard: Any, set_to_none: bool) -> None:
    """Clear the gradients."""
    optimizer = shard_of(shard).optimizer
    assert optimizer is not None
    optimizer.zero_grad(set_to_none)


def state(shard: Any) -> dict[Any, Any]:
    """The optimizer's state, with the shard's own numbers of its parameters."""
    optimizer = shard_of(shard).optimizer
    assert optimizer is not None
    values: dict[Any, Any] = move_to_caller(dict(optimizer.state_dict()["state"]))
    return values


def load(shard: Any, state: dict[Any, Any], options: dict[int, dict[str, Any]]) -> None:
    """Load a state as :func:`state` gives it, and the groups' hyperparameters."""
    local = shard_of(shard)
    assert local.optimizer is not None
    numbers = itertools.count()
    groups = [
        {**_own(options[number]), "params": [next(numbers) for _ in group["params"]]}
        for number, group in zip(local.numbers, local.groups, strict=True)
    ]
    kept = local.groups[:]
    local.optimizer.load_state_dict({"state": _own(state), "param_groups": groups})
    # The groups of the caller's own shard are the caller's param_groups, so they stay the same objects.
    for old, new in zip(kept, local.groups, strict=True):
        old.clear()
        old.update(new)
    local.groups[:] = kept


def _own(value: Any) -> Any:
    """A copy of a sent value, whose tensors may lie in memory that must not be changed or kept."""
    return map_tensors(value, Tensor.clone)
