"""Gradients cross the border whatever the layout of what they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.testing.zoo import Echo

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype"),
]

GRID = torch.tensor([[0.0, 1], [2, 0]])
ODD: dict[str, Callable[[], Tensor]] = {
    "coo": GRID.to_sparse_coo,
    "csr": GRID.to_sparse_csr,
    "csc": GRID.to_sparse_csc,
    "bsr": lambda: GRID.to_sparse_bsr((1, 1)),
    "strided": lambda: torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)]),
    "jagged": lambda: torch.nested.nested_tensor([torch.ones(2, 3)], layout=torch.jagged),
    "meta": lambda: torch.ones(3, device="meta"),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "half": lambda: torch.ones(3, dtype=torch.bfloat16),
    "transposed": lambda: torch.ones(3, 2).t(),
    "expanded": lambda: torch.ones(3, 1).expand(3, 4),
    "empty": lambda: torch.ones(0, 4),
    "scalar": lambda: torch.ones(()),
}


# Torch's own engine has no gradients of CSC and BSR tensors.
@pytest.mark.parametrize("name", sorted({*ODD} - {"csc", "bsr"}))
def test_tensors_of_every_layout_have_a_way_back(shm: rm.Cluster, name: str) -> None:
    """There and back leads to the same gradient as no journey at all."""
    sent, here = ODD[name]().requires_grad_(), ODD[name]().requires_grad_()
    result = rm.RemoteModule("ps0", Echo)(sent)
    assert (result.layout, result.requires_grad) == (sent.layout, True)
    for value in (result, here):
        if value.is_nested:
            total = torch.stack([part.sum() for part in value.unbind()]).sum()
        elif value.layout is torch.strided:
            total = value.abs().sum()
        else:
            total = value.to_dense().sum()
        total.backward()
    assert sent.grad is not None
    assert here.grad is not None
    assert sent.grad.layout is here.grad.layout
    if not sent.is_meta:
        torch.testing.assert_close(_dense(sent.grad), _dense(here.grad))


@pytest.mark.parametrize("name", ["csc", "bsr"])
def test_layouts_without_gradients_arrive(shm: rm.Cluster, name: str) -> None:
    """What autograd cannot go back through still comes and requires grad."""
    result = rm.RemoteModule("ps0", Echo)(ODD[name]().requires_grad_())
    assert result.requires_grad
    assert torch.equal(result.to_dense(), GRID)


def _dense(value: Tensor) -> Tensor:
    if value.is_nested:
        return torch.cat([part.flatten() for part in value.unbind()])
    return value if value.layout is torch.strided else value.to_dense()


def test_parameters_without_values_arrive(shm: rm.Cluster) -> None:
    """The state of a lazy module comes back as it was."""
    found = rm.RemoteModule("ps0", Echo)(nn.LazyLinear(3).state_dict())
    assert [type(value) for value in found.values()] == [nn.UninitializedParameter] * 2


class Cache:
    """An object of no known kind, with tensors in it, and itself."""

    def __init__(self, keys: list[Tensor], value: Tensor) -> None:
        self.layers = {"keys": keys}
        self.value = value
        self.me = self


class Extending(nn.Module):
    def forward(self, cache: Any) -> Any:
        grown = Cache([key * 2 for key in cache.layers["keys"]], cache.value * cache.me.value)
        grown.note = "grown"
        return grown


def test_gradients_cross_inside_of_objects(shm: rm.Cluster) -> None:
    """The attributes of what is sent and returned are in the graph too."""
    for backend in (shm, None):
        place = "ps0" if backend else "cpu"
        x = torch.ones(3, requires_grad=True)
        y = torch.full((2,), 5.0, requires_grad=True)
        cache = Cache([x, torch.ones(1), x * 2], y)
        grown = rm.RemoteModule(place, Extending, recompute=backend is None)(cache)
        assert grown.note == "grown"
        assert cache.layers["keys"][0] is x
        keys = grown.layers["keys"]
        (keys[0].sum() + keys[2].sum() + grown.me.value.sum()).backward()
        assert torch.equal(x.grad, torch.full((3,), 6.0))
        assert torch.equal(y.grad, torch.full((2,), 10.0))
