"""Objects with attributes as kinds: plain ones, dataclasses, slots, modules, and containers of classes of their own."""

from __future__ import annotations

import copyreg
import functools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from torch.fx.immutable_collections import immutable_dict, immutable_list

from remotemod.trees.containers import ATOM, BUILTIN_KINDS, OPAQUE, Kind
from remotemod.trees.functions import FUNCTION_KINDS

__all__ = ["is_built_in", "object_kind", "slot_names"]

_HEAP_TYPE = 1 << 9
_MISSING = object()

_BASES: tuple[tuple[type, Kind], ...] = (
    *(
        (base, BUILTIN_KINDS[base])
        for base in (OrderedDict, defaultdict, dict, list, tuple, set, frozenset, deque)
    ),
    (functools.partial, FUNCTION_KINDS[functools.partial]),
    (SimpleNamespace, ATOM),
)
"""The classes written in C that an object may be of, with what they hold; each before those it derives from."""

_REDUCED_ALIKE = frozenset(
    {object, Counter, immutable_dict, immutable_list, *(base for base, _ in _BASES)}
)
"""Whose ``__reduce__`` takes an object apart as it is here: into items and attributes."""


def is_built_in(cls: type) -> bool:
    """Tell whether a class is written in C; only such a class decides how instances lie in memory."""
    return not cls.__flags__ & _HEAP_TYPE


@functools.lru_cache(maxsize=1024)
def slot_names(cls: Any) -> tuple[str, ...]:
    """Name the slots of a class and its bases, mangled as they are stored."""
    names = []
    for part in cls.__mro__:
        slots = vars(part).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{part.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__"):
                names.append(name)
    return tuple(names)


def object_kind(cls: type) -> Kind:
    """Choose the kind of a class that Python has not made itself."""
    base, items = next(
        ((base, items) for base, items in _BASES if issubclass(cls, base)), (object, ATOM)
    )
    built_in = filter(is_built_in, cls.__mro__)
    if not all(issubclass(base, part) for part in built_in) or _is_reduced_otherwise(cls):
        return OPAQUE
    chosen = _chooses_state(cls)
    regular = base is object and not chosen and not hasattr(cls, "__setstate__")
    return _Object(base, items, slot_names(cls), chosen, regular or hasattr(cls, "_fields"))


def _is_reduced_otherwise(cls: type) -> bool:
    if cls in copyreg.dispatch_table:
        return True
    if hasattr(cls, "__getnewargs_ex__"):
        return True
    if hasattr(cls, "__getnewargs__") and not issubclass(cls, tuple):
        return True
    return any(_definer(cls, name) not in _REDUCED_ALIKE for name in _REDUCERS)


_REDUCERS = ("__reduce_ex__", "__reduce__")


def _chooses_state(cls: type) -> bool:
    """Tell whether instances say themselves what of them is pickled."""
    definer = _definer(cls, "__getstate__")
    if definer in (None, object):
        return False
    function: Any = vars(definer)["__getstate__"]
    # Those of dataclasses and attrs give every field.
    return getattr(function, "__module__", None) not in ("dataclasses", "attr._make")


def _definer(cls: type, name: str) -> Any:
    return next((part for part in cls.__mro__ if name in vars(part)), None)


class _Object(Kind):
    """An object of its items, if its base is a container, and its attributes.

    Args:
        base: the class in C that it derives from.
        items: the kind of that.
        slots: the names of its slots.
        chooses_state: whether its class says what of it is pickled. It is entered where that is attributes.
        is_regular: see :class:`Kind`.
    """

    def __init__(
        self,
        base: Any,
        items: Kind,
        slots: tuple[str, ...],
        chooses_state: bool,
        is_regular: bool,
    ) -> None:
        self._new: Callable[[type], Any] = base.__new__
        self._items = items
        self._has_items = items is not ATOM
        self._slots = slots
        self._chooses_state = chooses_state
        self.is_regular = is_regular

    def parts(self, value: Any) -> Sequence[Any]:
        attributes = self._attributes(value)
        shown = list(attributes.values())
        if self._chooses_state:
            state = _state_of(value)
            shown = [item if state.get(name) is item else None for name, item in attributes.items()]
        return [*self._items.parts(value), *shown] if self._has_items else shown

    def labels(self, value: Any) -> Sequence[str]:
        return [*self._items.labels(value), *(f".{name}" for name in self._attributes(value))]

    def begin(self, value: Any) -> Any:
        return self._items.begin(value) if self._has_items else self._new(type(value))

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        attributes = self._attributes(value)
        count = len(parts) - len(attributes)
        if self._has_items:
            twin = self._items.finish(value, twin, parts[:count])
        own = getattr(twin, "__dict__", None)
        for (name, old), part in zip(attributes.items(), parts[count:], strict=True):
            new = old if part is None else part
            if own is None or name in self._slots:
                object.__setattr__(twin, name, new)  # frozen ones too
            else:
                own[name] = new
        return twin

    def _attributes(self, value: Any) -> dict[str, Any]:
        attributes = {} if self._items is _PARTIAL else _own_attributes(value)
        for name in self._slots:
            item = getattr(value, name, _MISSING)
            if item is not _MISSING:
                attributes[name] = item
        return attributes


def _own_attributes(value: Any) -> dict[str, Any]:
    attributes = getattr(value, "__dict__", None)
    return dict(attributes) if type(attributes) is dict else {}


_PARTIAL = FUNCTION_KINDS[functools.partial]


def _state_of(value: Any) -> dict[str, Any]:
    """What an object gives to pickle of its attributes."""
    try:
        state = value.__getstate__()
    except Exception:  # it cannot be pickled, and so it does not travel
        return {}
    parts = state if isinstance(state, tuple) else (state,)
    return {name: item for part in parts if isinstance(part, dict) for name, item in part.items()}
