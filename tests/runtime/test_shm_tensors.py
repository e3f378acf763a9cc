"""Any tensor crosses a real worker and comes back bit by bit, or is refused by its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.zoo import Echo
from tests.runtime.any_tensor import DTYPES, QUANTIZED, dense, filled, raw, same

pytestmark = [
    pytest.mark.filterwarnings("ignore:B?Complex\\w+ support is experimental"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled"),
    pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype"),
    pytest.mark.filterwarnings("ignore:.*MaskedTensors is in prototype stage"),
    pytest.mark.filterwarnings("ignore:.*quantize:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]

many = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@pytest.fixture(scope="module")
def echo(fork_server: None) -> Iterator[Any]:
    """Gives back what it gets, from a worker of this file's own, with ``requires_grad`` as it was there."""
    with rm.launch(workers=["w"]) as cluster:
        remote = rm.RemoteModule("w", Echo, cluster=cluster)

        def call(value: Any) -> Any:
            with torch.no_grad():
                return remote(value)

        yield call


@many
@given(dense())
@pytest.mark.slow
def test_any_dense_tensor_comes_back(echo: Any, sent: Tensor) -> None:
    """Every dtype, shape, stride, lazy bit and flag, alone and inside of containers."""
    same(echo(sent), sent)
    for found in (echo([sent])[0], echo({"deep": (1, [sent])})["deep"][1][0]):
        same(found, sent)


SMALL, LARGE = 16 * 1024, 64 * 1024
EDGES = sorted(
    {
        edge + off
        for edge in (SMALL, LARGE, *(2**power for power in range(13, 24)))
        for off in (-16, -8, -1, 0, 1, 8, 16)
    }
)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.complex128], ids=str)
@pytest.mark.slow
def test_sizes_around_every_threshold(echo: Any, dtype: torch.dtype) -> None:
    """A byte and an item less, just as much, and more, than where the way of travelling changes."""
    for size in EDGES[: None if dtype is torch.uint8 else -21]:
        sent = filled(dtype, (size // dtype.itemsize,), size)
        same(echo(sent), sent)
        one, other = echo({"a": [sent, 1], "b": sent[1:]}).values()
        same(one[0], sent)
        same(other, sent[1:])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "size", [SMALL, LARGE, pytest.param(300_000, marks=pytest.mark.slow)], ids=str
)
def test_large_views_of_every_dtype(echo: Any, dtype: torch.dtype, size: int) -> None:
    """What is not contiguous is written out, whatever its items are and however it travels."""
    side = int((size / dtype.itemsize) ** 0.5) + 1
    for view in (filled(dtype, (side, side), 1).t(), filled(dtype, (1, 1), 2).expand(side, side)):
        same(echo(view), view)
        same(echo([[view]])[0][0], view)


@st.composite
def families(draw: st.DrawFn) -> list[Tensor]:
    """Tensors that lie in one storage: wholes, slices, steps, overlaps, some of them twice."""
    size = draw(st.sampled_from([1, 7, 4_000, 20_000, 70_000]))
    base = filled(torch.int32, (size,), size)
    cuts = st.integers(0, size)
    made = [base]
    for first, last, step in draw(
        st.lists(st.tuples(cuts, cuts, st.integers(1, 3)), min_size=1, max_size=5)
    ):
        made.append(base[min(first, last) : max(first, last) : step])
    return draw(st.lists(st.sampled_from(made), min_size=1, max_size=6))


@settings(many, max_examples=100)
@given(
    families(),
    st.sampled_from([tuple, list, lambda v: dict(enumerate(v)), lambda v: [v, {"x": v}]]),
)
def test_tensors_of_one_storage_in_one_call(echo: Any, family: list[Tensor], box: Any) -> None:
    """Views and repetitions each have their values; the same tensor twice is the same tensor twice."""
    found, sent = echo(box(family)), box(family)
    for value in (found, sent):
        assert type(value) is type(sent)
    flat_found, flat_sent = list(_leaves(found)), list(_leaves(sent))
    for one, other in zip(flat_found, flat_sent, strict=True):
        same(one, other)
    ids = {id(s): f for f, s in zip(flat_found, flat_sent, strict=True)}
    assert all(ids[id(s)] is f for f, s in zip(flat_found, flat_sent, strict=True))
    if len({id(f) for f in flat_found}) > 1 and flat_found[0].numel():
        flat_found[0].fill_(-1)
        others = [
            (f, s) for f, s in zip(flat_found, flat_sent, strict=True) if f is not flat_found[0]
        ]
        assert all(raw(f) == raw(s) for f, s in others)


def _leaves(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)


GRID = torch.tensor([[0.0, 1, 0, 2], [3, 0, 0, 0]])
PARTS = [torch.ones(2, 3), torch.arange(12.0).view(4, 3)]
SPARSE: dict[str, Callable[[], Tensor]] = {
    "coo": lambda: GRID.to_sparse_coo(),
    "repeated": lambda: torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (3,)),
    "hybrid": lambda: torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 3), (3, 3)),
    "nothing": lambda: torch.sparse_coo_tensor(size=(3, 0)),
    "conj": lambda: torch.sparse_coo_tensor([[0, 1]], torch.tensor([1j, 2j]), (3,)).conj(),
    "csr": lambda: GRID.to_sparse_csr(),
    "csc": lambda: GRID.to_sparse_csc(),
    "bsr": lambda: GRID.to_sparse_bsr((1, 2)),
    "bsc": lambda: GRID.to_sparse_bsc((2, 2)),
    "batch": lambda: torch.stack([GRID, GRID]).to_sparse_csr(),
    "large": lambda: torch.eye(3_000).to_sparse_coo(),
}


@pytest.mark.parametrize("leaf", [False, True], ids=["plain", "leaf"])
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_tensors_come_back(echo: Any, name: str, leaf: bool) -> None:
    """Each sparse layout, with its values, its flag and whether it is coalesced."""
    sent = SPARSE[name]().requires_grad_(leaf)
    for found in (echo(sent), echo({"a": [sent]})["a"][0]):
        assert (found.layout, found.dtype, found.shape) == (sent.layout, sent.dtype, sent.shape)
        assert found.requires_grad is leaf
        same(found.to_dense(), sent.to_dense())
        if sent.layout is torch.sparse_coo:
            assert found.is_coalesced() == sent.is_coalesced()


@pytest.mark.parametrize("leaf", [False, True], ids=["plain", "leaf"])
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_nested_tensors_come_back(echo: Any, layout: torch.layout, leaf: bool) -> None:
    """Both nested layouts, part by part."""
    sent = torch.nested.nested_tensor(PARTS, layout=layout, requires_grad=leaf)
    found = echo([sent])[0]
    assert (found.layout, found.is_nested, found.requires_grad) == (layout, True, leaf)
    for one, other in zip(found.unbind(), PARTS, strict=True):
        assert torch.equal(one, other)


class Marked(Tensor):
    """A subclass that adds nothing."""


def inference(*shape: int) -> Tensor:
    with torch.inference_mode():
        return torch.full(shape, 2.0)


@pytest.mark.parametrize(
    "sent",
    [
        nn.Parameter(torch.ones(3)),
        nn.Parameter(torch.arange(70_000), requires_grad=False),
        nn.Buffer(torch.ones(2)),
        torch.ones(3).as_subclass(Marked),
        inference(2, 3),
        inference(300, 70).t(),
        torch.ones([1] * 64),
        torch.empty(2**40, 0),
        torch._efficientzerotensor(3),
        torch._efficientzerotensor((200, 300)).t(),
    ],
    ids=[
        *("parameter", "frozen", "buffer", "subclass", "inference", "inference view", "64-d"),
        *("no items", "lazy zeros", "large lazy zeros"),
    ],
)
def test_special_tensors_come_back(echo: Any, sent: Tensor) -> None:
    """Parameters, subclasses, inference tensors and torch's lazy zeros."""
    expected = sent + 0 if sent._is_zerotensor() else sent
    same(echo(sent), expected)
    same(echo([sent, {"x": 1}])[0], expected)


@pytest.mark.parametrize("flag", [False, True])
def test_meta_tensors_come_back(echo: Any, flag: bool) -> None:
    """A tensor without data is its description, whatever size that speaks of."""
    sent = torch.empty(10**6, 10**6, device="meta", requires_grad=flag).t()
    found = echo(sent)
    assert found.is_meta
    assert (found.shape, found.stride()) == (sent.shape, sent.stride())
    assert found.requires_grad is flag


def freed(*shape: int) -> Tensor:
    tensor = torch.ones(shape).t()
    tensor.untyped_storage().resize_(0)
    return tensor


REFUSED: dict[str, tuple[Callable[[], Tensor], str]] = {
    **{str(dtype): (lambda d=dtype: torch.empty(3, dtype=d), "dequantize") for dtype in QUANTIZED},
    "per channel": (
        lambda: torch.quantize_per_channel(
            GRID, torch.ones(2), torch.zeros(2, dtype=torch.int64), 0, torch.qint8
        ),
        "dequantize",
    ),
    "quantized meta": (lambda: torch.empty(3, device="meta", dtype=torch.quint8), "dequantize"),
    "mkldnn": (lambda: torch.ones(2, 3).to_mkldnn(), "to_dense"),
    "sparse meta": (
        lambda: torch.empty(3, 4, device="meta", layout=torch.sparse_coo),
        "send a dense one",
    ),
    "freed": (lambda: freed(3), "restore it first"),
    "freed and large": (lambda: freed(50_000, 2), "restore it first"),
    "no parts": (lambda: torch.nested.nested_tensor([]), "nested tensor without parts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_travel_is_refused_by_its_place(echo: Any, name: str) -> None:
    """The error names the argument and the way out, both ways, and the connection goes on."""
    make, advice = REFUSED[name]
    with pytest.raises(rm.ProtocolError, match=rf"^args\[0\] .*{advice}"):
        echo(make())
    with pytest.raises(rm.ProtocolError, match=rf"^args\[0\]\['a'\]\[1\] .*{advice}"):
        echo({"a": [torch.ones(100_000), make()]})
    with pytest.raises(rm.ProtocolError, match=advice):
        rm.rpc_sync("w", make)
    assert echo(1) == 1


@pytest.mark.parametrize("size", [2, 20_000])
def test_transformed_tensors_are_refused(echo: Any, size: int) -> None:
    """Inside of ``vmap`` and ``grad`` a tensor has no bytes to send; the error says what to do."""
    x = torch.ones(3, size)
    with pytest.raises(rm.GraphError, match=r"'w': call the remote module outside"):
        torch.func.vmap(echo)(x)
    with pytest.raises(rm.GraphError, match=r"'w': call the remote module outside"):
        torch.func.grad(lambda y: echo(y).sum())(x)
    with pytest.raises(rm.ProtocolError, match=r"^args\[0\] .*call the remote module outside"):
        torch.func.vmap(lambda y: rm.rpc_sync("w", torch.neg, (y,)))(x)


@pytest.mark.parametrize("size", [3, 5_000, 100_000])
def test_arrays_of_any_layout_come_back(echo: Any, size: int) -> None:
    """numpy arrays: stepped, reversed, transposed, read-only, in the other byte order."""
    base = np.arange(2 * size).reshape(2, size)
    frozen = base.copy()
    frozen.flags.writeable = False
    for sent in (base[:, ::2], base[::-1], base.T, frozen, base.astype(">i4"), base[:, :0]):
        found = echo(sent)
        assert (found.dtype, found.shape) == (sent.dtype, sent.shape)
        assert np.array_equal(found, sent)
        found[...] = 0
    assert np.array_equal(base, np.arange(2 * size).reshape(2, size))
