"""Sizes and durations, as people read and write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemod.bench.options import sizes_in
from remotemod.bench.wording import duration, human, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("4", 4), ("4 B", 4), ("256KiB", 262144), (" 4 mib ", 4194304), ("1GiB", 1 << 30)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """With a unit, without one, and however it is spelled."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-4", "4.5", "3", "4KB", "many", "2GiB"])
def test_what_is_no_size_says_what_is(text: str) -> None:
    """The message names the units, the step and the bound."""
    with pytest.raises(
        ValueError, match=r"KiB, MiB or GiB; a multiple of 4 bytes .* 1 GiB at most"
    ):
        parse_size(text)


@given(st.integers(1, 1 << 28).map(lambda n: n * 4))
def test_a_written_size_is_read_again(size: int) -> None:
    """Nothing is lost on the way."""
    assert parse_size(human(size).replace(",", "")) == size


def test_lists_of_sizes_are_sorted_and_each_is_there_once() -> None:
    """A plot needs them in order."""
    assert sizes_in("4KiB, 4,4096") == (4, 4096)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (20.64, "20.6 s"),
        (0.001234, "1.23 ms"),
        (0.4567, "457 ms"),
        (3.2e-7, "0.32 µs"),
        (1e-4, "100 µs"),
    ],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    """In the unit that fits."""
    assert duration(seconds) == text
