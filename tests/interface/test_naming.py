"""Generated names never collide."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemod.interface.model import Interface
from remotemod.interface.naming import file_names, fresh, snake, stub_class_name, stub_file_name


def _interface(module: str, name: str) -> Interface:
    return Interface(name.rpartition(".")[2], module, name, "module", ())


@given(st.sampled_from(["x", "class", "ret"]), st.sets(st.sampled_from(["x", "x_", "x_2", "ret"])))
def test_fresh_names_are_free(name: str, taken: set[str]) -> None:
    """A fresh name is neither taken nor a keyword."""
    made = fresh(name, taken)
    assert made not in taken
    assert not keyword.iskeyword(made)
    assert made.startswith(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("HTTPBackbone2d", "http_backbone2d"), ("Outer.Inner", "outer_inner"), ("LSTM", "lstm")],
)
def test_snake(name: str, expected: str) -> None:
    """Class names become file names people would choose."""
    assert snake(name) == expected


def test_stub_names() -> None:
    """A stub's class and file are named after the interface."""
    interface = _interface("pkg", "Backbone")
    assert stub_class_name(interface) == "RemoteBackbone"
    assert stub_file_name(interface) == "remote_backbone.py"


def test_file_names_do_not_collide() -> None:
    """Paths that look alike once joined, and names that differ in case alone, stay apart."""
    pairs = [("a_b.c", "I"), ("a.b_c", "I"), ("a", "LSTM"), ("a", "Lstm"), ("b", "Free")]
    names = file_names([_interface(*pair) for pair in pairs])
    assert len({name.lower() for name in names.values()}) == len(pairs)
    assert names["b", "Free"] == "remote_free.py"
    assert names == file_names([_interface(*pair) for pair in reversed(pairs)])
