"""A user's modules, which know nothing of remotemod: the smoke program generates stubs for them and calls them."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Ranked(NamedTuple):
    """What ``Table.top`` answers."""

    values: Tensor
    rows: Tensor


class Table(nn.Module):
    """An embedding table, with results of several kinds."""

    def __init__(self, rows: int = 50, width: int = 8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1.0, 1.0, rows * width).reshape(rows, width))

    def forward(self, ids: Tensor, scale: float = 1.0) -> Tensor:
        """The rows of ``ids``, scaled."""
        return self.weight[ids] * scale

    def stats(self, ids: Tensor) -> dict[str, Tensor]:
        """Mean and largest entry of some rows."""
        rows = self.weight[ids]
        return {"mean": rows.mean(), "max": rows.max()}

    def top(self, count: int = 3) -> Ranked:
        """The rows with the largest sums."""
        found = self.weight.sum(1).topk(count)
        return Ranked(found.values, found.indices)

    def fail(self, message: str) -> None:
        """Raise."""
        raise KeyError(message)
