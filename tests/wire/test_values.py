"""Plain values and containers arrive as they were sent."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remotemod.errors import ProtocolError
from remotemod.wire.codec import Codec

codec = Codec()


def trip(value: Any) -> Any:
    return codec.decode(*codec.encode(value))


def exactly(value: Any) -> Any:
    """Spell a value with the types of everything in it and the order of its items."""
    if isinstance(value, dict):
        return type(value), [(exactly(k), exactly(v)) for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [exactly(item) for item in value]
    return type(value), repr(value) if isinstance(value, (float, complex)) else value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**63,
        -(2**63) - 1,
        2**64,
        10**6000,
        1.5,
        math.inf,
        -math.inf,
        math.nan,
        -0.0,
        complex(1, -math.inf),
        "",
        "naïve ✓",
        "lone \ud800 surrogate",
        {"\udfff": 1, "a": 2},
        b"\x00\xff",
        bytearray(b"grow"),
        [],
        (),
        {},
        [1, (2, [3, ()]), {}],
        {1: "a", (1, 2): None, None: [], 2.5: {}, "x": 0},
        {"x": 1, "ü": 2, 3: {"y": 4}},
        {"b": 1, "a": 2},
        OrderedDict(b=1, a=2),
        defaultdict(list, a=[1]),
        defaultdict(None, {1: 2}),
        {1, "a", (2, 3)},
        frozenset({frozenset({1}), 2}),
        slice(1, None, -2),
        slice("a", (1, 2)),
        range(3, -7, -2),
        range(2**70),
        ...,
        torch.Size([2, 3]),
        torch.float8_e4m3fn,
        torch.quint8,
        torch.sparse_csr,
        torch.channels_last,
        torch.device("cuda:1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_keeps_its_type_and_content(value: Any) -> None:
    """What is decoded is what was encoded, down to the types of items and the order of keys."""
    assert exactly(trip(value)) == exactly(value)


def test_default_factory_still_works() -> None:
    """A decoded defaultdict makes its missing items."""
    assert trip(defaultdict(list))["new"] == []


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
)
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(trees)
def test_any_tree_survives(value: Any) -> None:
    """Whatever is built of plain values round-trips."""
    assert exactly(trip(value)) == exactly(value)


def test_a_cycle_is_refused() -> None:
    """A value that contains itself is a ProtocolError, not a RecursionError."""
    value: list[Any] = [1]
    value.append({"again": value})
    with pytest.raises(ProtocolError, match="contains itself"):
        codec.encode(value)


def test_an_aliased_container_arrives_as_two() -> None:
    """Only tensors keep their identity; a list met twice is sent twice."""
    shared = [1]
    first, second = trip([shared, shared])
    assert first == second == [1]
    assert first is not second
