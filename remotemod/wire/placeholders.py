"""Placeholder classes for named tuples of the user's code, where that code cannot be imported."""

from __future__ import annotations

import collections
from typing import Any

from remotemod.errors import ProtocolError
from remotemod.objects import ObjectNotFound, find, find_or_none
from remotemod.process import Slot, slot

__all__ = ["class_named", "find_placeholder", "is_placeholder", "named_tuple_class"]

_PLACEHOLDERS: Slot[dict[tuple[str, str], type]] = slot(
    "placeholder classes by module and name", dict, lasting=True
)


def named_tuple_class(module: str, qualname: str, fields: tuple[str, ...]) -> type:
    """Find a named tuple: the user's own where it was imported, else a placeholder.

    Instances of a placeholder are sent by the name of the user's class, and are of that class where it can be imported.

    Args:
        module: the module of the user's class.
        qualname: its name in the module.
        fields: its fields, in order.

    Raises:
        ProtocolError: there are two of that name, with other fields.
    """
    real = find_or_none(module, qualname)
    if isinstance(real, type) and getattr(real, "_fields", None) == fields:
        return real
    known: Any = _PLACEHOLDERS.value.get((module, qualname))
    if known is None:
        made: Any = collections.namedtuple(qualname.rpartition(".")[2], fields)  # type: ignore[misc]
        made.__module__ = module
        made.__qualname__ = qualname
        known = _PLACEHOLDERS.value.setdefault((module, qualname), made)
    if known._fields != fields:
        raise ProtocolError(
            f"{module}.{qualname} has the fields {', '.join(known._fields)} in one archive and {', '.join(fields)} "
            "in another: export the older one again"
        )
    cls: type = known
    return cls


def find_placeholder(module: str, qualname: str) -> type | None:
    """The placeholder for a class of the user's that is not here; None without one."""
    return _PLACEHOLDERS.value.get((module, qualname))


def is_placeholder(value: object) -> bool:
    """Whether a class is a placeholder for one that other processes can import."""
    if not _PLACEHOLDERS.value or not isinstance(value, type):
        return False
    name = value.__qualname__
    local = value.__module__ == "__main__" or "<locals>" in name
    return not local and _PLACEHOLDERS.value.get((value.__module__, name)) is value


def class_named(module: str, qualname: str) -> Any:
    """Import a class, or find its placeholder; pickles of placeholders call this where they arrive."""
    try:
        return find(module, qualname, load=True)
    except ImportError:
        found = find_placeholder(module, qualname)
        if found is None:
            raise
        return found
    except ObjectNotFound:
        raise ProtocolError(
            f"{module}.{qualname} is not here: install the same version as the peer's"
        ) from None
