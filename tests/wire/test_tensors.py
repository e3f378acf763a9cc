"""Tensors and arrays travel as frames that share memory, whatever their dtype or layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from remotemod.errors import ProtocolError
from remotemod.wire.codec import Codec

pytestmark = [
    pytest.mark.filterwarnings("ignore:B?Complex\\w+ support is experimental"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled"),
    pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype"),
]

codec = Codec()


def trip(value: Any) -> Any:
    return codec.decode(*codec.encode(value))


def bits(tensor: torch.Tensor) -> list[int]:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist()


DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.complex32, torch.complex64, torch.complex128),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
    torch.float8_e8m0fnu,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_arrives_bit_by_bit(dtype: torch.dtype) -> None:
    """The bytes, the shape and the dtype are the same at the other end."""
    sent = torch.arange(96, dtype=torch.uint8).view(dtype).view(2, -1)
    got = trip(sent)
    assert (got.dtype, got.shape, bits(got)) == (dtype, sent.shape, bits(sent))


base = torch.arange(24.0).view(2, 3, 4)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3.0),
        torch.tensor(True),
        torch.empty(0),
        torch.empty(3, 0, 2, dtype=torch.float64),
        base.permute(2, 0, 1),
        base[:, ::2, 1:],
        torch.ones(1, 3).expand(4, 3),
        base.to(memory_format=torch.contiguous_format).flip(0),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([1 + 2j]).conj().imag,
        torch.arange(6.0).view(3, 2)[1:2, 1],
        torch.tensor([[1.0, 2.0]], requires_grad=True).T * 2,
    ],
    ids=range(12),
)
def test_any_view_arrives_with_its_values(tensor: torch.Tensor) -> None:
    """Shape and values do not depend on how the tensor lies in memory."""
    got = trip(tensor)
    assert got.shape == tensor.shape
    assert torch.equal(got, tensor)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), max_size=5).flatmap(
        lambda shape: st.tuples(st.just(shape), st.permutations(range(len(shape))))
    )
)
def test_a_tensor_that_fills_its_memory_lies_there_as_it_lay_here(case: Any) -> None:
    """The order of dimensions arrives, because operations round by it; nothing is copied for it."""
    shape, order = case
    made = torch.arange(math.prod(shape)).view(shape).permute(order)
    header, frames = codec.encode(made)
    got = codec.decode(header, frames)
    assert torch.equal(got, made)
    assert [f.data_ptr() for f in frames] == [made.data_ptr()]
    if made.numel():
        kept = [(n, s) for n, s in zip(got.shape, got.stride(), strict=True) if n > 1]
        assert kept == [(n, s) for n, s in zip(made.shape, made.stride(), strict=True) if n > 1]


@pytest.mark.parametrize(
    "tensor", [torch.arange(24.0).view(2, 3, 4)[:, ::2], torch.ones(3, 1).expand(3, 4)]
)
def test_gaps_and_repeats_do_not_travel(tensor: torch.Tensor) -> None:
    """What does not fill its memory arrives in the order of its dimensions."""
    assert trip(tensor).is_contiguous()


def test_an_order_that_is_none_is_refused() -> None:
    """Dimensions that are named twice would lay elements over each other."""
    header, frames = codec.encode(torch.ones(2, 3).t())
    at = header.rindex(bytes([0x92, 1, 0]))
    with pytest.raises(ProtocolError, match="no order of them"):
        codec.decode(header[:at] + bytes([0x92, 1, 1]) + header[at + 3 :], frames)


def test_nothing_is_copied() -> None:
    """A contiguous CPU tensor, its frame and the decoded tensor are one memory."""
    tensor = torch.zeros(2, 3)
    header, frames = codec.encode([tensor])
    (got,) = codec.decode(header, frames)
    got.fill_(7)
    assert torch.equal(tensor, torch.full((2, 3), 7.0))
    assert [(f.dtype, f.dim(), f.is_contiguous()) for f in frames] == [(torch.uint8, 1, True)]
    assert len(header) < 40


@pytest.mark.parametrize("offset", [1, 4, 8])
def test_a_misaligned_frame_still_decodes(offset: int) -> None:
    """A frame that starts anywhere in a buffer gives the right values."""
    header, (frame,) = codec.encode(torch.arange(5, dtype=torch.float64))
    buffer = torch.zeros(offset + len(frame), dtype=torch.uint8)
    buffer[offset:] = frame
    got = codec.decode(header, [buffer[offset:]])
    assert got.tolist() == [0, 1, 2, 3, 4]
    assert (got.untyped_storage().data_ptr() == buffer.data_ptr()) is (offset == 8)


def test_requires_grad_is_kept_on_a_leaf() -> None:
    """The flag travels; the graph behind a non-leaf does not."""
    leaf = torch.ones(2, requires_grad=True)
    plain, first, second = trip([torch.ones(2), leaf, leaf * 2])
    assert (plain.requires_grad, first.requires_grad, second.requires_grad) == (False, True, True)
    assert first.is_leaf
    assert second.is_leaf
    (first * second).sum().backward()
    assert first.grad.tolist() == [2, 2]


def test_a_decoded_tensor_may_be_changed_in_place_under_autograd() -> None:
    """It is a tensor of its own for autograd, not a view of a byte buffer."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    got = trip(torch.tensor([1.0, 2.0]))
    got.mul_(weight)
    got.sum().backward()
    assert weight.grad.tolist() == [1, 2]


def test_a_parameter_stays_a_parameter() -> None:
    """Type and flag of a Parameter are kept."""
    got = trip([nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, dtype=torch.int8), False)])
    assert [(type(p), p.requires_grad) for p in got] == [
        (nn.Parameter, True),
        (nn.Parameter, False),
    ]


def test_the_same_tensor_twice_is_one_tensor() -> None:
    """Identity within a value is kept, and its bytes travel once."""
    tensor, tied = torch.ones(2), nn.Parameter(torch.ones(3))
    header, frames = codec.encode([tensor, {"again": tensor}, (tied, tied), tensor[:1]])
    first, again, (one, two), view = codec.decode(header, frames)
    assert len(frames) == 3
    assert first is again["again"]
    assert one is two
    assert view.tolist() == [1]


def test_a_meta_tensor_is_its_description() -> None:
    """Shape, strides and dtype travel without a frame."""
    sent = torch.empty_strided((2, 3), (1, 2), dtype=torch.bfloat16, device="meta")
    header, frames = codec.encode(sent)
    got = codec.decode(header, frames)
    assert frames == []
    assert (got.device.type, got.dtype, got.shape, got.stride()) == (
        *("meta", torch.bfloat16, (2, 3)),
        (1, 2),
    )


dense = torch.tensor([[0.0, 1, 0, 2], [3, 0, 0, 0]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: dense.to_sparse_coo(),
        lambda: torch.sparse_coo_tensor(
            torch.tensor([[0, 0]]), torch.ones(2, 3), (2, 3), check_invariants=True
        ),
        lambda: dense.to_sparse_coo().requires_grad_(),
        lambda: dense.to_sparse_csr(),
        lambda: dense.to_sparse_csc(),
        lambda: dense.to_sparse_bsr((1, 2)),
        lambda: dense.to_sparse_bsc((2, 2)),
    ],
    ids=["coo", "uncoalesced", "leaf", "csr", "csc", "bsr", "bsc"],
)
def test_sparse_tensors_keep_their_layout(make: Callable[[], torch.Tensor]) -> None:
    """Each sparse layout is rebuilt from its component tensors."""
    sparse = make()
    got = trip(sparse)
    assert (got.layout, got.shape, got.requires_grad) == (
        *(sparse.layout, sparse.shape),
        sparse.requires_grad,
    )
    assert torch.equal(got.to_dense(), sparse.to_dense())
    if sparse.layout is torch.sparse_coo:
        assert got.is_coalesced() == sparse.is_coalesced()


def test_sparse_indices_are_checked() -> None:
    """Indices that point outside the tensor are refused before anything reads them."""
    header, (indices, values) = codec.encode(dense.to_sparse_coo())
    damaged = indices.clone()
    damaged[7] = 100
    with pytest.raises(ProtocolError):
        codec.decode(header, [damaged, values])


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_nested_tensors_keep_their_parts(layout: torch.layout) -> None:
    """Both forms of nested tensors are rebuilt part by part."""
    parts = [torch.ones(2, 3), torch.zeros(4, 3)]
    got = trip(torch.nested.nested_tensor(parts, layout=layout))
    assert got.layout is layout
    assert all(map(torch.equal, got.unbind(), parts))


@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_quantized_tensor_is_refused_with_its_path() -> None:
    """What cannot be carried says where it is and what to do."""
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)
    with pytest.raises(ProtocolError, match=r"args\[0\]\['q'\] .*dequantize"):
        codec.encode([{"q": quantized}], name="args")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.array(2.5),
        np.empty((0, 3)),
        np.arange(3, dtype=">i4"),
        np.array(["a", "bcd"]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array([1 + 2j]),
    ],
    ids=range(8),
)
def test_arrays_travel_as_frames(array: np.ndarray) -> None:
    """A numpy array keeps dtype, shape and values."""
    header, frames = codec.encode(array)
    got = codec.decode(header, frames)
    assert len(frames) == 1
    assert (type(got), got.dtype, got.shape) == (np.ndarray, array.dtype, array.shape)
    assert np.array_equal(got, array)


def test_a_read_only_array_arrives_writable() -> None:
    """Memory that must not be changed is copied; what arrives is the receiver's own."""
    array = np.arange(3)
    array.flags.writeable = False
    got = trip(array)
    got[0] = 9
    assert array[0] == 0


@pytest.mark.parametrize(
    "scalar", [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("ü"), np.datetime64("2020")]
)
def test_array_scalars_keep_their_type(scalar: Any) -> None:
    """A numpy scalar is not turned into a Python number."""
    got = trip(scalar)
    assert (type(got), got) == (type(scalar), scalar)


def test_object_arrays_need_trust() -> None:
    """An array of Python objects is an object like any other."""
    array = np.array([None, "a", {}], dtype=object)
    with pytest.raises(ProtocolError, match="data only"):
        codec.encode(array)
    trusted = Codec(code=True)
    assert trusted.decode(*trusted.encode(array)).tolist() == [None, "a", {}]


def test_lazy_zeros_are_written_out() -> None:
    """torch's zeros without memory (as forward-mode derivatives have them) arrive as zeros."""
    for lazy in (torch._efficientzerotensor(3), torch._efficientzerotensor((200, 300)).t()):
        got = trip(lazy)
        assert got.shape == lazy.shape
        assert bits(got) == [0] * lazy.nbytes


@pytest.mark.parametrize("size", [3, 100_000])
def test_a_tensor_whose_memory_was_freed_is_refused(size: int) -> None:
    """Nothing is read where nothing is, and the caller's storage is left alone."""
    freed = torch.ones(size)
    freed.untyped_storage().resize_(0)
    with pytest.raises(ProtocolError, match=r"^args\[0\] .*its memory is gone"):
        codec.encode([freed], name="args")
    assert freed.untyped_storage().nbytes() == 0


@pytest.mark.parametrize("dtype", [torch.int4, torch.uint1, torch.bit], ids=str)
def test_views_of_narrow_items_are_written_out(dtype: torch.dtype) -> None:
    """torch has no copy for these dtypes; their bytes arrive in order all the same."""
    sent = torch.arange(6, dtype=torch.uint8).view(2, 3).view(dtype).t()
    got = trip(sent)
    assert (got.dtype, got.shape) == (dtype, sent.shape)
    assert got.view(torch.uint8).flatten().tolist() == [0, 3, 1, 4, 2, 5]
