"""A model in two stages on two workers, which compute at the same time on different micro-batches.

``python -m examples.torch_rpc.pipeline [--steps N] [--batch N] [--micro-batches N]``

While the second stage works on one micro-batch, the first stage works on the next: ``forward_async`` sends a call without
waiting for the result of the previous one. This also works inside a distributed autograd context, so one backward pass goes
through both stages. The same model trained in one process must get the same weights.

The data are scikit-learn's handwritten digits. Micro-batches are faster only if there is a core for each stage.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed.autograd as dist_autograd
import torch.distributed.rpc as rpc
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.distributed.optim import DistributedOptimizer

from examples.digits.data import Digits, load
from examples.torch_rpc.local import counted, positive, spawn
from remotemod import RemoteModule  # was: from torch.distributed.nn import RemoteModule

NAMES = ["master", "worker1", "worker2"]
STAGES = [(64, 768, 768), (768, 768, 10)]
RATE = 0.1


class Stage(nn.Module):
    """Layers of the given widths, with the same initial weights wherever they are built."""

    def __init__(self, widths: tuple[int, ...], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        pairs = itertools.pairwise(widths)
        self.layers = nn.ModuleList(nn.Linear(wide, next) for wide, next in pairs)

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.layers:
            values = layer(torch.tanh(values))
        return values


@dataclass(frozen=True)
class Result:
    """The results of training in one way: the losses, the logits of the test half, the images per second."""

    name: str
    losses: list[float]
    logits: Tensor
    rate: float


Step = Callable[[Tensor, Tensor], float]
"""One step of training, from images and labels to the loss."""


def pipelined(first: RemoteModule, second: RemoteModule, micro_batches: int) -> Step:
    """Steps through two remote stages, with all micro-batches in flight at once."""
    parameters = first.remote_parameters() + second.remote_parameters()
    optimizer = DistributedOptimizer(torch.optim.SGD, parameters, lr=RATE)

    def step(images: Tensor, labels: Tensor) -> float:
        with dist_autograd.context() as context:
            halfway = [first.forward_async(part) for part in images.chunk(micro_batches)]
            ends = [second.forward_async(values.wait()) for values in halfway]
            logits = torch.cat([end.wait() for end in ends])
            loss = nn.functional.cross_entropy(logits, labels)
            dist_autograd.backward(context, [loss])
            optimizer.step(context)
        return loss.item()

    return step


def local(model: nn.Module) -> Step:
    """Steps in this process."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def step(images: Tensor, labels: Tensor) -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def train(
    name: str,
    model: nn.Module,
    step: Step,
    data: tuple[Digits, Digits],
    options: argparse.Namespace,
) -> Result:
    """Trains and evaluates; the first step is a warm-up and its time does not count."""
    training, test = data
    choice = torch.Generator().manual_seed(0)
    losses = []
    start = 0.0
    for number in counted(options.steps + 1, name):
        if number == 1:
            start = time.perf_counter()
        chosen = torch.randint(len(training.labels), (options.batch,), generator=choice)
        losses.append(step(training.images[chosen].flatten(1), training.labels[chosen]))
    seconds = time.perf_counter() - start
    with torch.no_grad():
        logits = model(test.images.flatten(1))
    return Result(name, losses, logits, options.steps * options.batch / seconds)


def lead(options: argparse.Namespace) -> None:
    """On the master: trains in each way, compares, and reports."""
    data = load()
    here = nn.Sequential(*(Stage(widths, seed) for seed, widths in enumerate(STAGES)))
    results = [train("one process", here, local(here), data, options)]
    for count in dict.fromkeys((1, options.micro_batches)):
        first, second = (
            RemoteModule(f"{worker}/cpu", Stage, args=(widths, seed))
            for seed, (worker, widths) in enumerate(zip(NAMES[1:], STAGES, strict=True))
        )
        step = pipelined(first, second, count)
        name = f"pipeline, micro-batches: {count}"
        results.append(train(name, nn.Sequential(first, second), step, data, options))
    show(results, data[1].labels)
    for result in results[1:]:
        torch.testing.assert_close(result.losses, results[0].losses, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(result.logits, results[0].logits, rtol=1e-3, atol=1e-3)
    print("losses and logits: the same in all ways")


def show(results: list[Result], labels: Tensor) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("first loss", "last loss", "accuracy", "images/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        accuracy = (result.logits.argmax(1) == labels).float().mean().item()
        ends = f"{result.losses[0]:.4f}", f"{result.losses[-1]:.4f}"
        table.add_row(result.name, *ends, f"{accuracy:.2%}", f"{result.rate:,.0f}")
    Console(highlight=False).print(table)


def process(rank: int, folder: str, options: argparse.Namespace) -> None:
    """What each process does: the master leads, the workers wait for calls until it is done."""
    rpc.init_rpc(
        NAMES[rank],
        rank=rank,
        world_size=len(NAMES),
        rpc_backend_options=rpc.TensorPipeRpcBackendOptions(init_method=f"file://{folder}/rpc"),
    )
    if rank == 0:
        lead(options)
    rpc.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.torch_rpc.pipeline",
        description="Trains a model in two stages on two workers, with micro-batches in flight.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=positive, default=15, help="steps in each way")
    parser.add_argument("--batch", type=positive, default=512, help="images in a step")
    parser.add_argument("--micro-batches", type=positive, default=4, help="parts of a batch")
    spawn(process, len(NAMES), parser.parse_args())


if __name__ == "__main__":
    main()
