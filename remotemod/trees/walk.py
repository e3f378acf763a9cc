"""The walk over a value: finds its tensors, and makes the value again with others in their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from remotemod.torch_compat.script import is_script_module
from remotemod.trees.containers import TENSOR, Kind
from remotemod.trees.kinds import ATOMS, kind_of

__all__ = ["Walk", "map_tensors", "tensors_of"]


class _Container(NamedTuple):
    value: Any
    kind: Kind
    parts: Sequence[Any]


class Walk:
    """One walk over a value, which stays as it is; what occurs several times, or holds itself, is entered once.

    Attributes:
        value: what was walked.
        tensors: its tensors by their ``id``, in the order of its structure.
        containers: what it was entered by, by ``id``.
        is_regular: whether it was entered everywhere, and has its tensors in the same order in another process.
    """

    __slots__ = ("containers", "is_regular", "tensors", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.tensors: dict[int, Tensor] = {}
        self.containers: dict[int, _Container] = {}
        self.is_regular = True
        tensors, containers = self.tensors, self.containers
        left = [value]
        while left:
            item = left.pop()
            cls: Any = type(item)
            if cls in ATOMS:
                continue
            key = id(item)
            if key in tensors or key in containers:
                continue
            kind = TENSOR if cls is Tensor else kind_of(cls)
            if kind is TENSOR:
                tensors[key] = item
                continue
            if not kind.is_regular and not kind.is_regular_value(item):
                self.is_regular = False
            parts = kind.parts(item)
            containers[key] = _Container(item, kind, parts)
            left.extend(reversed(parts))

    def scripted(self) -> list[Any]:
        """List the scripted modules in the value, which hold parameters and are not entered."""
        found = [container.value for container in self.containers.values() if not container.parts]
        return [value for value in found if is_script_module(value)]

    def replace(self, news: Mapping[int, Any]) -> Any:
        """Make the value with other tensors; containers in which nothing is replaced are the value's own.

        Args:
            news: what stands for a tensor, by the tensor's ``id``.
        """
        return _Replacement(self, news).of(self.value) if news else self.value

    def holders(self, keys: Mapping[int, Any]) -> set[int]:
        """Find the containers in which tensors of these ``id``s are, however deep."""
        above: dict[int, list[int]] = {}
        for key, container in self.containers.items():
            for part in container.parts:
                if type(part) not in ATOMS:
                    above.setdefault(id(part), []).append(key)
        found: set[int] = set()
        left = [key for key in keys if key in self.tensors]
        while left:
            for holder in above.get(left.pop(), ()):
                if holder not in found:
                    found.add(holder)
                    left.append(holder)
        return found


class _Replacement:
    """A value being made again with other tensors."""

    def __init__(self, walk: Walk, news: Mapping[int, Any]) -> None:
        self._containers = walk.containers
        self._changed = walk.holders(news)
        self._made: dict[int, Any] = dict(news)

    def of(self, item: Any) -> Any:
        key = id(item)
        if key in self._made:
            return self._made[key]
        if key not in self._changed:
            return item
        value, kind, parts = self._containers[key]
        twin = kind.begin(value)
        if twin is not None:
            self._made[key] = twin
        parts = list(map(self.of, parts))
        if twin is None and key in self._made:
            return self._made[key]  # it holds itself, and was made on the way
        self._made[key] = twin = kind.finish(value, twin, parts)
        return twin


def tensors_of(value: Any) -> list[Tensor]:
    """List the tensors in a value, each once, in the order of its structure."""
    return list(Walk(value).tensors.values())


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Make a value with a function applied to each of its tensors once, and every structure kept.

    Args:
        value: any value; it stays as it is.
        function: gives what stands for a tensor.

    Returns:
        The value itself if the function gave back each tensor, or there is none.
    """
    if isinstance(value, Tensor):
        return function(value)
    walk = Walk(value)
    news = {key: function(tensor) for key, tensor in walk.tensors.items()}
    return walk.replace({key: new for key, new in news.items() if new is not walk.tensors[key]})
