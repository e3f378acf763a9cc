"""Damaged bytes raise ProtocolError and nothing else."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remotemod.errors import ProtocolError
from remotemod.wire.codec import Codec

from .shapes_of_data import Color, FrozenSlots, ModelOutput, Options, PickyPoint, Point, Rights

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

codec = Codec()
sparse = torch.tensor([[0.0, 1], [2, 0]])
rich = [
    *(None, 2**70, 1j, "\ud800", bytearray(b"x"), {1, 2}, slice(1), range(3), ..., {1: {"a": 2}}),
    *(OrderedDict(a=1), defaultdict(list), torch.Size([1]), torch.float16, torch.device("cpu")),
    *(
        Color.RED,
        Rights.READ | Rights.RUN,
        Point(1.0),
        PickyPoint(2.0),
        Options(),
        FrozenSlots("a"),
    ),
    *(ModelOutput(loss=torch.ones(())), torch.max(torch.ones(1, 1), 1), np.arange(3), np.int8(1)),
    *(torch.ones(2, 3, requires_grad=True), torch.nn.Parameter(torch.ones(2))),
    *(torch.empty(2, device="meta"), sparse.to_sparse_coo()),
]
HEADER, FRAMES = codec.encode(rich)


def decode_or_refuse(header: bytes, frames: list[torch.Tensor]) -> Any:
    with suppress(ProtocolError):
        return codec.decode(header, frames)


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    """Bytes that nobody encoded are refused."""
    decode_or_refuse(data, [])


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(HEADER) - 1), st.integers(0, 255)), min_size=1, max_size=4
    )
)
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    """A header with some bytes changed gives a value or a ProtocolError."""
    damaged = bytearray(HEADER)
    for place, byte in changes:
        damaged[place] = byte
    decode_or_refuse(bytes(damaged), FRAMES)


junk = st.recursive(
    st.none() | st.integers(-2, 40) | st.floats() | st.text(max_size=3) | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.integers(-1, 31), st.lists(junk, max_size=4), st.lists(junk, max_size=2), junk)
@pytest.mark.slow
def test_forged_nodes(tag: int, parts: list[Any], descriptors: list[Any], codes: Any) -> None:
    """Well-formed msgpack with nodes that no encoder makes is refused too."""
    decode_or_refuse(msgspec.msgpack.encode([[tag, *parts], descriptors, codes]), FRAMES[:1])


@pytest.mark.parametrize("kept", range(0, len(HEADER), 7))
def test_truncated_header(kept: int) -> None:
    """Any beginning of a header is refused."""
    with pytest.raises(ProtocolError):
        codec.decode(HEADER[:kept], FRAMES)


@pytest.mark.parametrize("place", range(len(FRAMES)))
def test_wrong_frames(place: int) -> None:
    """Frames that are shorter, longer, missing or too many are refused."""
    frame = FRAMES[place]
    longer = torch.cat([frame, frame.new_zeros(8)])
    for replacement in ([frame[:-1]], [longer], [], [frame, frame]):
        with pytest.raises(ProtocolError):
            codec.decode(HEADER, [*FRAMES[:place], *replacement, *FRAMES[place + 1 :]])


def test_endless_nesting() -> None:
    """A header that nests deeper than Python recurses is refused."""
    with pytest.raises(ProtocolError):
        codec.decode(b"\x91" * 100_000 + b"\x00", [])
