"""The express lane: what it takes arrives as it was, and what it does not take it says so."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.testing.helpers import assert_same
from remotemod.wire.fast_path import (
    LIMIT,
    Buffer,
    Packed,
    pack_row,
    pack_value,
    unpack_row,
    unpack_value,
)
from remotemod.wire.memory import flat_bytes


def arrived(packed: Packed | None) -> tuple[bytearray, list[Buffer]]:
    """What a receiver has of a message: the same bytes, in memory of its own."""
    assert packed is not None
    data, frames = packed
    raw = [bytearray(flat_bytes(frame).numpy().tobytes()) for frame in frames]
    return bytearray(data), [*raw]


DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 5), max_size=4))
    values = torch.arange(max(1, torch.Size(shape).numel()))[: torch.Size(shape).numel()]
    made = values.to(draw(st.sampled_from(DTYPES))).reshape(shape)
    return made.requires_grad_(made.is_floating_point() and draw(st.booleans()))


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
PLAIN = ATOMS | tensors()


@given(st.lists(PLAIN, max_size=5), st.dictionaries(st.text(), PLAIN, max_size=3))
def test_arguments_arrive_as_they_were(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Positions, keywords, types, bits, shapes and ``requires_grad``."""
    found, named = unpack_row(*arrived(pack_row(tuple(args), kwargs)))
    assert_same(found, tuple(args))
    assert_same(named, kwargs)
    flags = [v.requires_grad for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    assert flags == [v.requires_grad for v in (*found, *named.values()) if isinstance(v, Tensor)]


@given(
    PLAIN
    | st.lists(PLAIN, max_size=3)
    | st.lists(PLAIN, max_size=3).map(tuple)
    | st.dictionaries(st.text(), PLAIN, max_size=3)
)
def test_results_arrive_as_they_were(value: Any) -> None:
    """A plain value, and a list, tuple or dict of them."""
    assert_same(unpack_value(*arrived(pack_value(value))), value)


def test_what_arrives_is_whole() -> None:
    """A tensor can be written to, is no view, and shares nothing with its neighbour."""
    first, second = unpack_value(*arrived(pack_value((torch.ones(2, 2), torch.zeros(3)))))
    first.zero_()
    assert not first._is_view()
    assert first._base is None
    assert torch.equal(second, torch.zeros(3))


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT])
def test_large_tensors_are_frames(size: int) -> None:
    """Beyond the limit the buffer describes a tensor, and its bytes are a frame that shares its memory."""
    value = {"a": torch.arange(size).to(torch.uint8), "b": 1}
    packed = pack_value(value)
    assert packed is not None
    data, frames = packed
    assert len(frames) == (size > LIMIT)
    assert all(f.data_ptr() == value["a"].data_ptr() for f in frames)
    assert_same(unpack_value(*arrived(packed)), value)
    with pytest.raises(ProtocolError):
        unpack_value(bytearray(data), [bytearray(3)])


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT + 1])
def test_a_tensor_alone_has_the_frames_that_it_needs(size: int) -> None:
    """A message of one tensor with a frame too few, too many, or of another size is damaged."""
    data, frames = arrived(pack_value(torch.zeros(size, dtype=torch.uint8)))
    with pytest.raises(ProtocolError):
        unpack_value(data, [*frames, bytearray(3)])
    with pytest.raises(ProtocolError):
        unpack_value(data[:-1], [frame[:-1] for frame in frames])


@pytest.mark.parametrize("size", [2, 200])
def test_odd_strides_and_lazy_bits_are_written_out(size: int) -> None:
    """What is expanded, cut, conjugated or negated arrives contiguous and equal; the codec keeps what is transposed."""
    base = torch.randn(size, size, dtype=torch.complex64)
    for value in (base.conj(), base.conj().imag, base[:1].expand(size, size), base[::2]):
        assert torch.equal(unpack_value(*arrived(pack_value(value))), value)
    assert pack_value(base.t()) is None


X = torch.ones(3)


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        "\ud800",
        [[1]],
        {1: 2},
        (X, X),
        torch.nn.Parameter(X),
        X.to("meta"),
        X.to_sparse(),
        torch.Size([1]),
        X.dtype,
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_rest_is_for_the_codec(value: Any) -> None:
    """Whatever would lose its type, its identity or its strides is not taken."""
    assert pack_value(value) is None
    assert pack_row((value,), {}) is None or isinstance(value, tuple)
    assert pack_row((), {"a": [value]}) is None


@given(st.binary(max_size=60))
def test_damaged_bytes_are_a_protocol_error(data: bytes) -> None:
    """Nothing but values or a ProtocolError comes out of any bytes."""
    for unpack in (unpack_row, unpack_value):
        with contextlib.suppress(ProtocolError):
            unpack(bytearray(data), [])
