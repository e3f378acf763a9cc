"""Python's own containers as kinds: their parts, the names of these, and how another one is made of other parts."""

from __future__ import annotations

import reprlib
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "ATOM",
    "BUILTIN_KINDS",
    "OPAQUE",
    "STRUCT_SEQUENCE",
    "TENSOR",
    "VIEW_KINDS",
    "Kind",
    "is_struct_sequence",
]


class Kind:
    """What values of one class are made of.

    A value that can be made empty and filled later may contain itself. Parts of value ``None`` stand for nothing.

    Attributes:
        is_regular: whether all of a value is among its parts, and they arrive in their order in another process.
    """

    is_regular = True

    def is_regular_value(self, value: Any) -> bool:
        """Tell whether one value is as regular as others of its kind are not."""
        return False

    def parts(self, value: Any) -> Sequence[Any]:
        """List what a value is made of."""
        return ()

    def labels(self, value: Any) -> Sequence[str]:
        """Write the step from a value to each of its parts, as Python would."""
        return ()

    def begin(self, value: Any) -> Any:
        """Make an empty twin of a value; None where its class wants the parts first."""
        return None

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        """Make the twin of a value with other parts.

        Args:
            value: the original, which stays as it is.
            twin: what :meth:`begin` has made of it.
            parts: in the order of :meth:`parts`.
        """
        raise NotImplementedError


class _Opaque(Kind):
    is_regular = False


ATOM = Kind()
"""The kind of what holds nothing: numbers, text, names."""

TENSOR = Kind()
"""The kind of tensors, which are what a walk is after."""

OPAQUE = _Opaque()
"""The kind of what cannot be entered, and might hold anything."""


class _List(Kind):
    def parts(self, value: list[Any]) -> Sequence[Any]:
        return [*list.__iter__(value)]

    def labels(self, value: list[Any]) -> Sequence[str]:
        return [f"[{index}]" for index in range(list.__len__(value))]

    def begin(self, value: list[Any]) -> Any:
        return list.__new__(type(value))

    def finish(self, value: list[Any], twin: Any, parts: Sequence[Any]) -> Any:
        list.extend(twin, parts)
        return twin


class _Tuple(Kind):
    def parts(self, value: tuple[Any, ...]) -> Sequence[Any]:
        return [*tuple.__iter__(value)]

    def labels(self, value: Any) -> Sequence[str]:
        fields = getattr(value, "_fields", None)
        if fields is not None:
            return [f".{field}" for field in fields]
        return [f"[{index}]" for index in range(tuple.__len__(value))]

    def finish(self, value: tuple[Any, ...], twin: Any, parts: Sequence[Any]) -> Any:
        return tuple.__new__(type(value), parts)


class _Mapping(Kind):
    def __init__(self, base: Any) -> None:
        self._base = base

    def parts(self, value: Any) -> Sequence[Any]:
        return [*self._base.values(value), *self._base.keys(value)]

    def labels(self, value: Any) -> Sequence[str]:
        keys = [reprlib.repr(key) for key in self._base.keys(value)]
        return [*(f"[{key}]" for key in keys), *(f".keys({key})" for key in keys)]

    def begin(self, value: Any) -> Any:
        return self._base.__new__(type(value))

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        count = len(parts) // 2
        for key, item in zip(parts[count:], parts, strict=False):
            self._base.__setitem__(twin, key, item)
        return twin


class _DefaultDict(_Mapping):
    def __init__(self) -> None:
        super().__init__(dict)

    def parts(self, value: Any) -> Sequence[Any]:
        return [*super().parts(value), value.default_factory]

    def labels(self, value: Any) -> Sequence[str]:
        return [*super().labels(value), ".default_factory"]

    def begin(self, value: Any) -> Any:
        return defaultdict.__new__(type(value))

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        *items, factory = parts
        defaultdict.__init__(twin, factory)
        return super().finish(value, twin, items)


class _Set(Kind):
    """A set: what travels is in another order elsewhere, because tensors have their addresses for hashes."""

    is_regular = False

    def is_regular_value(self, value: Any) -> bool:
        return len(value) < 2

    def parts(self, value: Any) -> Sequence[Any]:
        return list(value)

    def labels(self, value: Any) -> Sequence[str]:
        return [f"{{item {index}}}" for index in range(len(value))]

    def begin(self, value: Any) -> Any:
        return set.__new__(type(value))

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        set.update(twin, parts)
        return twin


class _FrozenSet(_Set):
    def begin(self, value: Any) -> Any:
        return None

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        return frozenset.__new__(type(value), parts)


class _Deque(Kind):
    def parts(self, value: Any) -> Sequence[Any]:
        return [*deque.__iter__(value)]

    def labels(self, value: Any) -> Sequence[str]:
        return [f"[{index}]" for index in range(len(value))]

    def begin(self, value: Any) -> Any:
        twin = deque.__new__(type(value))
        deque.__init__(twin, (), value.maxlen)
        return twin

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        deque.extend(twin, parts)
        return twin


class _View(Kind):
    """A view of a dict, which travels as one of its own."""

    def __init__(self, mapping: Any, view: str) -> None:
        self._mapping = mapping
        self._view = view

    def parts(self, value: Any) -> Sequence[Any]:
        return list(value)

    def labels(self, value: Any) -> Sequence[str]:
        return [f".{self._view}()[{index}]" for index in range(len(value))]

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        items: Iterable[Any] = parts
        if self._view == "values":
            items = enumerate(parts)
        elif self._view == "keys":
            items = ((part, None) for part in parts)
        return getattr(self._mapping(items), self._view)()


class _Slice(Kind):
    def parts(self, value: slice) -> Sequence[Any]:
        return value.start, value.stop, value.step

    def labels(self, value: slice) -> Sequence[str]:
        return ".start", ".stop", ".step"

    def finish(self, value: slice, twin: Any, parts: Sequence[Any]) -> Any:
        return slice(*parts)


class _StructSequence(_Tuple):
    """What torch's operators with several results return; some fields have no index."""

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        _, (_, hidden) = value.__reduce__()
        return type(value)(parts, hidden)


STRUCT_SEQUENCE = _StructSequence()


def is_struct_sequence(cls: Any) -> bool:
    """Tell whether a class is a named tuple as C makes them."""
    return (
        isinstance(cls, type)
        and cls.__bases__ == (tuple,)
        and isinstance(vars(cls).get("n_sequence_fields"), int)
    )


BUILTIN_KINDS: dict[type, Kind] = {
    list: _List(),
    tuple: _Tuple(),
    dict: _Mapping(dict),
    OrderedDict: _Mapping(OrderedDict),
    defaultdict: _DefaultDict(),
    set: _Set(),
    frozenset: _FrozenSet(),
    deque: _Deque(),
    slice: _Slice(),
}

VIEW_KINDS: dict[type, Kind] = {
    type(getattr(mapping(), view)()): _View(mapping, view)
    for mapping in (dict, OrderedDict)
    for view in ("keys", "values", "items")
}
