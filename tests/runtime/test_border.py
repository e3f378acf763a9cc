"""Results that require grad are the caller's to use and to change; only their backward is refused."""

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


def _set_first(y: Tensor) -> None:
    y[0] = 5.0


@pytest.mark.parametrize(
    "change", [torch.relu_, lambda y: y.add_(1), _set_first, lambda y: nn.ReLU(inplace=True)(y)]
)
def test_a_result_can_be_changed_in_place(shm: rm.Cluster, change: Callable[[Tensor], Any]) -> None:
    """A result with a graph behind it takes what any other tensor takes."""
    result = rm.RemoteModule("ps0", nn.Linear, args=(2, 2))(torch.ones(3, 2))
    expected = result.detach().clone()
    change(expected)
    change(result)
    assert torch.equal(result, expected)
    with pytest.raises(rm.RemoteModError, match="gradients do not cross"):
        result.sum().backward()


GRID = torch.tensor([[0.0, 1], [2, 0]])
ODD: dict[str, Callable[[], Tensor]] = {
    "coo": GRID.to_sparse_coo,
    "csr": GRID.to_sparse_csr,
    "csc": GRID.to_sparse_csc,
    "bsr": lambda: GRID.to_sparse_bsr((1, 1)),
    "strided": lambda: torch.nested.nested_tensor([torch.ones(2, 3)]),
    "jagged": lambda: torch.nested.nested_tensor([torch.ones(2, 3)], layout=torch.jagged),
    "meta": lambda: torch.ones(3, device="meta"),
}


@pytest.mark.parametrize("name", ODD)
def test_results_of_every_layout_are_guarded(shm: rm.Cluster, name: str) -> None:
    """Sparse, nested and meta results arrive, and refuse backward as dense ones do."""
    sent = ODD[name]().requires_grad_()
    result = rm.RemoteModule("ps0", Echo)(sent)
    assert (result.layout, result.requires_grad) == (sent.layout, True)
    if result.is_nested:
        total = result.unbind()[0].sum()
    else:
        total = (result if result.layout is torch.strided else result.to_dense()).sum()
    with pytest.raises(rm.RemoteModError, match="gradients do not cross"):
        total.backward()


def test_parameters_without_values_arrive(shm: rm.Cluster) -> None:
    """The state of a lazy module comes back as it was."""
    found = rm.RemoteModule("ps0", Echo)(nn.LazyLinear(3).state_dict())
    assert [type(value) for value in found.values()] == [nn.UninitializedParameter] * 2
