"""Names the place of a tensor in a value for an error, also where the walk does not enter."""

from __future__ import annotations

import gc
import re
from collections import deque
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor

from remotemod.trees.containers import OPAQUE
from remotemod.trees.importable import is_importable
from remotemod.trees.kinds import ATOMS, kind_of
from remotemod.trees.objects import slot_names

__all__ = ["path_to"]


def path_to(target: Any, value: Any, name: str) -> str | None:
    """Write the shortest way to a part of a value as Python would; None where it cannot be found.

    Args:
        target: the part.
        value: where it is.
        name: what to call the value.
    """
    entered: dict[int, Any] = {}
    left = deque([(name, value)])
    while left:
        path, item = left.popleft()
        if item is target:
            return _OF_MODULES.sub(r".\1", path)
        if type(item) in ATOMS or isinstance(item, Tensor) or id(item) in entered:
            continue
        entered[id(item)] = item
        left.extend((path + step, part) for step, part in _steps(item))
    return None


_OF_MODULES = re.compile(r"\._(?:parameters|buffers|modules)\['([^']+)'\]")
"""Where modules keep what they show as attributes."""


def _steps(value: Any) -> Iterator[tuple[str, Any]]:
    cls: Any = type(value)
    kind = kind_of(cls)
    yield from zip(kind.labels(value), kind.parts(value), strict=False)
    if kind.is_regular or (isinstance(value, type) and is_importable(value)):
        return
    for name, item in dict(getattr(value, "__dict__", ())).items():
        yield f".{name}", item
    for name in (*slot_names(cls), *getattr(cls, "__match_args__", ())):
        yield f".{name}", getattr(value, name, None)
    if isinstance(value, FunctionType) and not is_importable(value):
        for name in _names_in(value.__code__):
            if name in value.__globals__:
                yield f".__globals__[{name!r}]", value.__globals__[name]
    if hasattr(value, "flat"):
        yield from ((f".flat[{index}]", item) for index, item in enumerate(value.flat))
    if kind is OPAQUE:  # what has no name is somewhere in here
        yield from (("", item) for item in gc.get_referents(value) if not isinstance(item, type))


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
