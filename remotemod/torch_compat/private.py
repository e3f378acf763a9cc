"""What it means to rely on a private name of torch: where it is, what for, and what happens without it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from remotemod.errors import RemoteModError

__all__ = ["MISSING", "Private"]

MISSING: Any = object()
"""What :attr:`Private.found` is where this torch has no such name."""


@dataclass(frozen=True)
class Private:
    """A private name of torch.

    Args:
        name: its dotted path from ``torch`` on.
        relied_on: the behaviour that is relied on.
        without: what happens where it is missing.
        instead: what takes its place where it is missing, if something public does.
        find: finds it where the path alone does not lead to it (members of instances).
    """

    name: str
    relied_on: str
    without: str
    instead: str = ""
    find: Callable[[], Any] | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def found(self) -> Any:
        """What the name stands for; :data:`MISSING` where this torch has no such name. Looked up once."""
        try:
            return _follow(self.name) if self.find is None else self.find()
        except Exception:  # a trial may fail in any way on a torch that nobody has seen yet
            return MISSING

    @property
    def is_here(self) -> bool:
        """Whether this torch has the name."""
        return self.found is not MISSING

    def get(self, default: Any) -> Any:
        """What the name stands for, or ``default``."""
        return default if self.found is MISSING else self.found

    def require(self, error: type[RemoteModError] = RemoteModError) -> Any:
        """What the name stands for.

        Args:
            error: what is raised where it is missing.

        Raises:
            RemoteModError: this torch has no such name.
        """
        if self.found is MISSING:
            raise error(self.complaint())
        return self.found

    def complaint(self) -> str:
        """What a user is told who asks for what the name is needed for."""
        import torch

        return (
            f"torch {torch.__version__} has no {self.name}, which remotemod relies on for this: {self.without}. "
            "Take a version of torch that docs/compatibility.md lists, or a newer remotemod; "
            "`remotemod doctor` lists all that is missing"
        )


def _follow(path: str) -> Any:
    """The object at a dotted path, whose submodules are imported as far as they must be."""
    head, *rest = path.split(".")
    found, walked = importlib.import_module(head), head
    for part in rest:
        walked = f"{walked}.{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            if not hasattr(found, "__path__"):  # no package, so it has no submodules
                raise
            found = importlib.import_module(walked)
    return found
