"""The model: two tables of embeddings on parameter servers, and a small tower here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

import remotemod as rm
from examples.recommender.data import Bags


class Recommender(nn.Module):
    """Scores modules by the modules that a file imports already.

    Args:
        servers: the workers that hold the tables; the first and the last are used.
        modules: the rows of each table.
        dim: the length of a row.
    """

    def __init__(self, servers: Sequence[str], modules: int, dim: int) -> None:
        super().__init__()
        # A module has one row as an import that is known, and one as a recommendation.
        self.known = rm.RemoteModule(
            f"{servers[0]}/cpu",
            nn.EmbeddingBag,
            args=(modules, dim),
            kwargs={"mode": "mean", "sparse": True},
        )
        self.wanted = rm.RemoteModule(
            f"{servers[-1]}/cpu", nn.Embedding, args=(modules, dim), kwargs={"sparse": True}
        )
        for table in self.tables.values():
            table.apply(begin_small)  # runs on the server
        self.tower = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Dropout(0.3), nn.Linear(2 * dim, dim)
        )

    @property
    def tables(self) -> dict[str, rm.RemoteModule]:
        return {"known": self.known, "wanted": self.wanted}

    def forward(self, files: Bags, candidates: Tensor) -> Tensor:
        """Scores of shape (files, candidates); both servers look up at the same time."""
        bags = self.known.forward_async(files.numbers, files.offsets)
        rows = self.wanted.forward_async(candidates)
        scores: Tensor = self.tower(bags.wait()) @ rows.wait().T
        return scores


def begin_small(module: nn.Module) -> None:
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        nn.init.normal_(module.weight, std=0.3)


class TableState(NamedTuple):
    """What a server reports on its table; bytes are those of the tensors."""

    rows: int
    bytes: int
    sparse: bool
    touched: int
    gradient_bytes: int


def look(table: rm.RemoteModule) -> TableState:
    """Asks a table's server for the table's size and for the gradient that the last step left there."""
    [weight] = table.remote_parameters()
    return rm.rpc_sync(table.on, _look, args=(weight,))


def _look(weight: rm.RemoteRef[nn.Parameter]) -> TableState:
    """On the server."""
    table = weight.local_value()
    gradient = table.grad
    if gradient is None or not gradient.is_sparse:
        size = 0 if gradient is None else gradient.nbytes
        return TableState(len(table), table.nbytes, False, len(table), size)
    gradient = gradient.coalesce()
    rows, values = gradient.indices(), gradient.values()
    return TableState(len(table), table.nbytes, True, len(values), rows.nbytes + values.nbytes)


def scores_of_all(model: Recommender, files: Bags, modules: int) -> Tensor:
    """Scores of shape (files, modules); those of modules that a file imports already are -inf."""
    model.eval()
    with torch.no_grad():
        scores = model(files, torch.arange(modules))
    return without_known(scores, files)


def without_known(scores: Tensor, files: Bags) -> Tensor:
    scores[files.rows(), files.numbers] = float("-inf")
    return scores
