"""A table of embeddings on a parameter server, and trainers that keep the rest of the model in step with DDP.

``python -m examples.torch_rpc.hybrid_ddp [--steps N] [--batch N] [--trainers N]``

The table is a remote module: the master creates it and hands it to the trainers. The rest of the model is
small and dense, so each trainer has a copy of it, and DistributedDataParallel averages its gradients. One distributed
backward pass serves both; one DistributedOptimizer steps both.

The data are scikit-learn's handwritten digits, each as the bag of its dark pixels.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.autograd as dist_autograd
import torch.distributed.rpc as rpc
from torch import Tensor, nn
from torch.distributed.optim import DistributedOptimizer
from torch.nn.parallel import DistributedDataParallel

from examples.digits.data import Digits, load
from examples.torch_rpc.local import counted, positive, spawn
from remotemod import RemoteModule  # was: from torch.distributed.nn import RemoteModule

PIXELS, SHADES, WIDTH = 64, 17, 32


def bags(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images as bags of tokens: each dark pixel is a token for its position and darkness.

    Returns:
        The tokens of all bags, and where each bag starts.
    """
    shades = (images.view(-1, PIXELS) * (SHADES - 1)).long()
    dark = shades > 0
    sizes = dark.sum(1)
    return (torch.arange(PIXELS) * SHADES + shades)[dark], sizes.cumsum(0) - sizes


class Hybrid(nn.Module):
    """The table is on the parameter server; the head is local, and the same in all trainers."""

    def __init__(self, table: RemoteModule) -> None:
        super().__init__()
        self.table = table
        self.head = DistributedDataParallel(nn.Sequential(nn.ReLU(), nn.Linear(WIDTH, 10)))

    def forward(self, tokens: Tensor, starts: Tensor) -> Tensor:
        logits: Tensor = self.head(self.table.forward(tokens, starts))
        return logits


class Trained(NamedTuple):
    """What a trainer reports to the master: its losses, its accuracy on the test half, its head."""

    losses: list[float]
    accuracy: float
    head: list[Tensor]


def train(table: RemoteModule, share: Digits, test: Digits, options: argparse.Namespace) -> Trained:
    """On a trainer: trains the table and the head with its share of the images."""
    me = dist.get_rank()
    model = Hybrid(table)
    parameters = table.remote_parameters()
    parameters += [rpc.RRef(parameter) for parameter in model.head.parameters()]
    optimizer = DistributedOptimizer(torch.optim.Adam, parameters, lr=0.02)
    choice = torch.Generator().manual_seed(me)
    losses = []
    for _ in counted(options.steps, "training") if me == 0 else range(options.steps):
        chosen = torch.randint(len(share.labels), (options.batch,), generator=choice)
        with dist_autograd.context() as context:
            logits = model(*bags(share.images[chosen]))
            loss = nn.functional.cross_entropy(logits, share.labels[chosen])
            dist_autograd.backward(context, [loss])
            optimizer.step(context)
        losses.append(loss.item())
    dist.barrier()  # the others' last steps change the table too
    with torch.no_grad():
        right = model(*bags(test.images)).argmax(1) == test.labels
    return Trained(
        losses, right.float().mean().item(), [p.detach() for p in model.head.parameters()]
    )


def lead(options: argparse.Namespace) -> None:
    """On the master: creates the table, starts the trainers' work, reports the results."""
    training, test = load()
    table = RemoteModule("ps/cpu", nn.EmbeddingBag, args=(PIXELS * SHADES, WIDTH))
    count = options.trainers
    shares = [Digits(training.images[n::count], training.labels[n::count]) for n in range(count)]
    futures = [
        rpc.rpc_async(f"trainer{n}", train, (table, share, test, options))
        for n, share in enumerate(shares)
    ]
    results: list[Trained] = torch.futures.wait_all(futures)

    print(f"the table is on {table.on}")
    for n, result in enumerate(results):
        first, last = start_and_end(result.losses)
        print(f"trainer{n}: loss {first:.3f} -> {last:.3f}, accuracy {result.accuracy:.2%}")
        assert last < first, f"the loss of trainer{n} did not fall"
        for mine, other in zip(result.head, results[0].head, strict=True):
            assert torch.equal(mine, other), f"trainer{n} has another head than trainer0"
    print("heads: the same in all trainers")


def start_and_end(losses: list[float]) -> tuple[float, float]:
    """The mean loss of the first and of the last tenth of the steps."""
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


def process(rank: int, folder: str, options: argparse.Namespace) -> None:
    """What each process does; the parameter server waits for calls until the others are done."""
    names = [*(f"trainer{n}" for n in range(options.trainers)), "master", "ps"]
    is_trainer = rank < options.trainers
    if is_trainer:
        ddp = f"file://{folder}/ddp"
        dist.init_process_group("gloo", ddp, rank=rank, world_size=options.trainers)
    rpc.init_rpc(
        names[rank],
        rank=rank,
        world_size=len(names),
        rpc_backend_options=rpc.TensorPipeRpcBackendOptions(init_method=f"file://{folder}/rpc"),
    )
    if names[rank] == "master":
        lead(options)
    rpc.shutdown()
    if is_trainer:
        dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.torch_rpc.hybrid_ddp",
        description="Trains a model whose table of embeddings is on a parameter server.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=positive, default=100, help="steps of each trainer")
    parser.add_argument("--batch", type=positive, default=32, help="images in a step of a trainer")
    parser.add_argument("--trainers", type=positive, default=2, help="trainer processes")
    options = parser.parse_args()
    spawn(process, options.trainers + 2, options)


if __name__ == "__main__":
    main()
