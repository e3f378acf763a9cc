"""A private name of torch: its path, its purpose, and what happens without it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from remotemod.errors import RemoteModError

__all__ = ["MISSING", "Private"]

MISSING: Any = object()
"""The value of :attr:`Private.found` where this torch has no such name."""


@dataclass(frozen=True)
class Private:
    """A private name of torch.

    Args:
        name: its dotted path from ``torch`` on.
        relied_on: the behaviour that is relied on.
        without: what happens where it is missing.
        instead: its public replacement where it is missing, if there is one.
        find: finds it where the path alone does not lead to it (members of instances).
    """

    name: str
    relied_on: str
    without: str
    instead: str = ""
    find: Callable[[], Any] | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def found(self) -> Any:
        """The object of the name; :data:`MISSING` where this torch has no such name. Looked up once."""
        try:
            return _follow(self.name) if self.find is None else self.find()
        except Exception:  # a trial may fail in any way on a newer torch
            return MISSING

    @property
    def is_here(self) -> bool:
        """Whether this torch has the name."""
        return self.found is not MISSING

    def get(self, default: Any) -> Any:
        """The object of the name, or ``default``."""
        return default if self.found is MISSING else self.found

    def require(self, error: type[RemoteModError] = RemoteModError) -> Any:
        """The object of the name.

        Args:
            error: the class of the error where it is missing.

        Raises:
            RemoteModError: this torch has no such name.
        """
        if self.found is MISSING:
            raise error(self.complaint())
        return self.found

    def complaint(self) -> str:
        """The message for a user of a feature that needs the name."""
        import torch

        return (
            f"torch {torch.__version__} has no {self.name}, which remotemod relies on for this: {self.without}. "
            "Take a version of torch that docs/compatibility.md lists, or a newer remotemod; "
            "`remotemod doctor` lists all that is missing"
        )


def _follow(path: str) -> Any:
    """The object at a dotted path, whose submodules are imported as far as they must be."""
    head, *rest = path.split(".")
    value, walked = importlib.import_module(head), head
    for part in rest:
        walked = f"{walked}.{part}"
        try:
            value = getattr(value, part)
        except AttributeError:
            if not hasattr(value, "__path__"):  # no package, so it has no submodules
                raise
            value = importlib.import_module(walked)
    return value
