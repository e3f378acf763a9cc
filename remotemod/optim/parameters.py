"""Read the argument of an optimizer: which parameters, in which groups, in which order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from remotemod.handles.members import client_of
from remotemod.optim.locations import LOCAL, Location, Locations
from remotemod.optim.shard import Source
from remotemod.rpc.current import cluster_of_reference
from remotemod.rpc.ref import RemoteRef
from remotemod.torch_compat.modules import parameters_of

__all__ = ["Entry", "Group", "by_location", "read_groups"]

TAKEN = (
    "a RemoteModule, an nn.Module (with RemoteModules anywhere in it), a parameter, a reference from "
    "remote_parameters(), or a list of these; or a list of groups, each a dict with such under 'params'"
)


class Entry(NamedTuple):
    """A source of parameters, and where it is."""

    location: Location
    source: Source


class Group(NamedTuple):
    """A group of parameters, in order.

    Attributes:
        options: the group's own hyperparameters.
        entries: where the parameters are.
        names: their names, where they were given by ``named_parameters()`` or the like.
    """

    options: dict[str, Any]
    entries: list[Entry]
    names: list[str] | None


def read_groups(given: Any, locations: Locations, where: str = "params_or_modules") -> list[Group]:
    """The groups of parameters in a user's argument.

    Args:
        given: the argument; ``TAKEN`` says what it may be.
        locations: the known owners; new ones are added.
        where: the argument's name, for errors.

    Raises:
        TypeError: something in it is none of what can be optimized.
        ValueError: parameters have names in part.
    """
    items = _items(given, where)
    numbers = itertools.count()
    if not items or not isinstance(items[0], dict):
        return [_group(items, {}, numbers, locations, where)]
    groups = []
    for at, item in enumerate(items):
        path = f"{where}[{at}]"
        if not isinstance(item, dict):
            raise TypeError(f"{path} is a {type(item).__name__} among groups; give dicts alone")
        if "params" not in item:
            raise TypeError(f"{path} has no 'params'; put the group's parameters under that key")
        options = {key: value for key, value in item.items() if key != "params"}
        path += "['params']"
        groups.append(_group(_items(item["params"], path), options, numbers, locations, path))
    if len({group.names is None for group in groups if group.entries}) > 1:
        raise ValueError(f"{where}: some groups have named parameters and some have not")
    return groups


def by_location(entries: Iterable[Entry]) -> dict[Location, list[Source]]:
    """The sources at each location, in order."""
    sources: dict[Location, list[Source]] = {}
    for entry in entries:
        sources.setdefault(entry.location, []).append(entry.source)
    return sources


def _items(given: Any, where: str) -> list[Any]:
    if isinstance(given, (nn.Module, Tensor)) or _is_reference(given):
        return [given]
    if isinstance(given, (set, frozenset)):
        raise TypeError(f"{where} is a set, which has no order; give a list")
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise TypeError(f"{where} is {_shown(given)}; give {TAKEN}")
    return list(given)


def _group(
    items: list[Any],
    options: dict[str, Any],
    numbers: Iterator[int],
    locations: Locations,
    where: str,
) -> Group:
    names = [item[0] for item in items if _is_named(item)]
    if names and len(names) < len(items):
        raise ValueError(f"{where}: some parameters have names and some have not")
    entries: list[Entry] = []
    for at, item in enumerate(items):
        path = where if len(items) == 1 else f"{where}[{at}]"
        value = item[1] if names else item
        if names and isinstance(value, nn.Module):
            raise TypeError(f"{path} names a module; names are for parameters: give it alone")
        entries += _entries(value, next(numbers), locations, path)
    return Group(options, entries, names or options.get("param_names"))


def _is_named(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _entries(value: Any, item: int, locations: Locations, where: str) -> Iterator[Entry]:
    if isinstance(value, Tensor):
        yield Entry(LOCAL, Source(value, False, item))
    elif isinstance(value, nn.Module):
        yield from _of_module(value, item, locations)
    elif _is_reference(value):
        yield Entry(locations.of(value), Source(value, False, item))
    else:
        raise TypeError(f"{where} is {_shown(value)}; give {TAKEN}")


def _of_module(root: nn.Module, item: int, locations: Locations) -> Iterator[Entry]:
    """In the order in which ``parameters()`` gives them where all of the model is in this process."""
    for module in root.modules():
        client = client_of(module)
        if client is not None:
            yield Entry(locations.of(client.ref, client.cluster), Source(client.ref, True, item))
        for parameter in parameters_of(module).values():
            if parameter is not None:
                yield Entry(LOCAL, Source(parameter, False, item))


def _is_reference(value: Any) -> bool:
    return isinstance(value, RemoteRef) or cluster_of_reference(value) is not None


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.60}"
