"""State of a process: declared where it is used, reset in one line, begun anew in forked children."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from remotemod import process
from remotemod.process import PROCESS, cached, slot


@pytest.fixture(autouse=True)
def _undeclared() -> Iterator[None]:
    """What a test declares goes with it."""
    slots, caches = list(PROCESS.slots), list(PROCESS.caches)
    yield
    PROCESS.slots[:] = slots
    PROCESS.caches[:] = caches


@pytest.fixture
def only_these() -> None:
    """A reset reaches the slots of the test alone, not what other tests have open."""
    PROCESS.slots.clear()
    PROCESS.caches.clear()


def in_child(tell: Callable[[], object]) -> str:
    """What a forked child says."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(tell()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def test_one_line_begins_anew(only_these: None) -> None:
    """All state is as it was in the beginning, and objects that others hold stay what they were."""
    names = slot("names", list[str])
    numbers = slot("numbers", lambda: itertools.count(1))
    held = names.value
    names.value.append("a")
    next(numbers.value)
    process.reset()
    assert (names.value, next(numbers.value), held) == ([], 1, ["a"])


def test_what_is_open_is_ended_from_above(only_these: None) -> None:
    """State of upper rooms, which were imported later, ends before what it stands on."""
    ended: list[str] = []
    slot("engine", lambda: "engine", end=ended.append)
    slot("cluster", lambda: "cluster", end=ended.append)
    process.reset()
    assert ended == ["cluster", "engine"]


def test_what_torch_remembers_stays(only_these: None) -> None:
    """Lasting state survives a reset."""
    operators = slot("operators", list[str], lasting=True)
    operators.value.append("forward")
    process.reset()
    assert operators.value == ["forward"]


def test_caches_are_forgotten(only_these: None) -> None:
    """A cached function works once for equal arguments, until a reset."""
    asked: list[int] = []

    @cached(maxsize=8)
    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    assert [double(2), double(2)] == [4, 4]
    process.reset()
    assert double(2) == 4
    assert asked == [2, 2]


@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # its other threads are not needed
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_forked_children_have_state_of_their_own() -> None:
    """A child keeps caches, and has locks that nobody holds and what a function makes of the parent's state."""
    known = slot("known", list[int])
    lock = slot("lock", threading.Lock, in_child="new")
    connections = slot(
        "connections", list[str], in_child=lambda parents: [f"not {name}" for name in parents]
    )
    known.value.append(1)
    connections.value.append("a")
    with lock.value:
        said = in_child(lambda: (known.value, lock.value.locked(), connections.value))
    assert said == "([1], False, ['not a'])"
    assert connections.value == ["a"]
