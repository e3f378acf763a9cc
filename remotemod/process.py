"""All mutable state that is one for each process, so that a test or a forked child can begin anew.

A room declares what it keeps as a slot, beside the code that uses it, and nothing mutable stands at module level otherwise::

    _OPEN: Slot[list[Cluster]] = slot("the clusters that are open, the current one last", list)
    ...
    _OPEN.value.append(cluster)

This module knows none of the types: a slot is typed where it is declared. ``PROCESS.slots`` lists them all, and
``process.reset()`` is the line that a test needs.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar

__all__ = ["PROCESS", "Cached", "Process", "Slot", "cached", "reset", "slot"]

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(eq=False, slots=True)
class Slot(Generic[S]):
    """One piece of state of this process.

    Attributes:
        what: what it holds, for people.
        value: the state; a plain attribute, so reading it costs what a global costs and one lookup more.
    """

    what: str
    value: S
    _make: Callable[[], S]
    _end: Callable[[S], object] | None
    _in_child: Callable[[S], S] | Literal["same", "new"]
    _lasting: bool

    def reset(self) -> None:
        """End the state and begin anew; lasting state stays."""
        if self._lasting:
            return
        value, self.value = self.value, self._make()
        if self._end is not None:
            self._end(value)

    def begin_in_child(self) -> None:
        """Give a child that was just forked its own state; nothing of its parent's is ended."""
        if self._in_child == "new":
            self.value = self._make()
        elif self._in_child != "same":
            self.value = self._in_child(self.value)


@dataclass(frozen=True)
class Process:
    """All slots and caches of this process, in the order in which their modules were imported."""

    slots: list[Slot[Any]] = field(default_factory=list)
    caches: list[Callable[[], object]] = field(default_factory=list)

    def reset(self) -> None:
        """End all state and begin anew, that of the upper rooms first; lasting state stays."""
        for state in reversed(self.slots):
            state.reset()
        for clear in self.caches:
            clear()

    def begin_in_child(self) -> None:
        """Give a child that was just forked its own state."""
        for state in self.slots:
            state.begin_in_child()


PROCESS = Process()
reset = PROCESS.reset


def slot(
    what: str,
    make: Callable[[], S],
    *,
    end: Callable[[S], object] | None = None,
    in_child: Callable[[S], S] | Literal["same", "new"] = "same",
    lasting: bool = False,
) -> Slot[S]:
    """Declare a piece of state, at module level.

    Args:
        what: what it holds.
        make: makes the state as it is in the beginning; called at once, so it must do no work.
        end: called with the old state when all begins anew: closes what is open there.
        in_child: what a forked child goes on with: the ``"same"`` value (caches), a ``"new"`` one (locks, which another
            thread may have held at the fork; identities; counters that number things for others), or what the
            function makes of the parent's.
        lasting: whether a reset leaves it: torch, too, remembers it (names that TorchScript knows, operators).
    """
    state = Slot(what, make(), make, end, in_child, lasting)
    PROCESS.slots.append(state)
    return state


class Cached(Protocol[P, R_co]):
    """A function that remembers its results."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result, worked out once for equal arguments."""

    def cache_clear(self) -> None:
        """Forget all results."""


def cached(maxsize: int | None = None) -> Callable[[Callable[P, R]], Cached[P, R]]:
    """``functools.lru_cache`` whose results a reset forgets; ``maxsize`` None keeps all of them."""

    def decorate(function: Callable[P, R]) -> Cached[P, R]:
        remembering: Any = functools.lru_cache(maxsize)(function)
        PROCESS.caches.append(remembering.cache_clear)
        return remembering  # type: ignore[no-any-return]

    return decorate


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PROCESS.begin_in_child)
