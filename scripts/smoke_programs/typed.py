"""What a type checker must accept; ``wrong.py`` beside it has what it must refuse."""

from stubs.remote_table import RemoteTable
from torch import Tensor, nn
from user_model import Table

import remotemod as rm


def use(cluster: rm.Cluster, ids: Tensor) -> Tensor:
    """A typed use of a generated stub and of the library."""
    names: tuple[str, ...] = tuple(cluster.workers)
    table = RemoteTable(f"{names[0]}/cpu", Table)
    later: rm.Future[Tensor] = table.forward_async(ids, scale=2.0)
    stats: dict[str, Tensor] = table.stats(ids)
    bag = rm.RemoteModule("ps0/cpu", nn.EmbeddingBag, args=(10, 3), timeout=5.0)
    assert isinstance(bag, rm.RemoteModule)
    return later.wait() + stats["mean"]


with rm.launch(workers=["ps0"]) as cluster:
    print(use(cluster, Tensor([1]).long()))
