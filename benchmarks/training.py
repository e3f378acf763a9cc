"""One training step of a hybrid model beside the same step at home and over torch's own classes: one run."""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import remotemod as rm
from benchmarks.calls.peers.torch_rpc import rpc_group
from benchmarks.modules import tower
from remotemod.bench.timing import Sample
from remotemod.bench.wording import duration, machine

PEER = "worker1"
BLOCK = 0.2
WARM = 3
GOALS = (("large", "shm", "local", 1.3), ("small", "shm", "torch", 0.5))

Step = Callable[[], None]


@dataclass(frozen=True)
class Size:
    """A model: what is remote, and how many examples a step takes."""

    width: int
    depth: int
    batch: int
    rounds: int


SIZES = {
    "small": Size(32, 1, 16, 8),
    "medium": Size(256, 2, 64, 8),
    "large": Size(512, 4, 256, 8),
}


def ends(width: int) -> tuple[nn.Module, nn.Module]:
    """The parts that stay at home."""
    torch.manual_seed(1)
    return nn.Linear(16, width), nn.Linear(width, 4)


def forward(parts: Sequence[nn.Module], x: Tensor, y: Tensor) -> Tensor:
    """The loss."""
    for part in parts:
        x = part(x)
    return nn.functional.mse_loss(x, y)


def plain(middle: nn.Module, size: Size, optimizer: Callable[[nn.Module], Any]) -> Step:
    """A step as people write it for a local model."""
    first, last = ends(size.width)
    model = nn.Sequential(first, middle, last)
    x, y = torch.randn(size.batch, 16), torch.randn(size.batch, 4)
    optimizer_ = optimizer(model)

    def step() -> None:
        optimizer_.zero_grad()
        forward(model, x, y).backward()
        optimizer_.step()

    return step


def ancestor(size: Size) -> Step:
    """A step with torch's RemoteModule, distributed autograd and distributed optimizer."""
    import torch.distributed.autograd as dist_autograd
    from torch.distributed import rpc
    from torch.distributed.nn.api.remote_module import RemoteModule
    from torch.distributed.optim import DistributedOptimizer

    first, last = ends(size.width)
    middle: Any = RemoteModule(f"{PEER}/cpu", tower, args=(size.width, size.depth))
    parts = (first, middle, last)
    x, y = torch.randn(size.batch, 16), torch.randn(size.batch, 4)
    local = [rpc.RRef(p) for part in (first, last) for p in part.parameters()]
    optimizer = DistributedOptimizer(
        torch.optim.SGD, local + middle.remote_parameters(), lr=0.01, momentum=0.9
    )

    def step() -> None:
        with dist_autograd.context() as context:
            dist_autograd.backward(context, [forward(parts, x, y)])
            optimizer.step(context)

    return step


def ours(model: nn.Module) -> Any:
    """Our optimizer."""
    return rm.RemoteOptimizer(torch.optim.SGD, model, lr=0.01, momentum=0.9)


def torchs(model: nn.Module) -> Any:
    """Torch's optimizer."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def ways(size: Size, shm: rm.Cluster, torch_rpc: rm.Cluster) -> dict[str, Step]:
    """Each way to take a step."""

    def remote(place: str, cluster: rm.Cluster | None, **options: Any) -> nn.Module:
        return rm.RemoteModule(
            place, tower, args=(size.width, size.depth), cluster=cluster, **options
        )

    return {
        "local": plain(tower(size.width, size.depth), size, torchs),
        "inproc": plain(remote("cpu", None), size, ours),
        "shm": plain(remote("ps0", shm), size, ours),
        "shm, recompute": plain(remote("ps0", shm, recompute=True), size, ours),
        "torch_rpc": plain(remote(PEER, torch_rpc), size, ours),
        "torch": ancestor(size),
    }


def in_blocks(steps: Mapping[str, Step], rounds: int) -> dict[str, Sample]:
    """Run each way in blocks of steps back to back, the ways in another order each round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps.items())
    shuffle = random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name, step in order:
            for _ in range(WARM):
                step()
            until = time.perf_counter() + BLOCK
            while (start := time.perf_counter()) < until:
                step()
                times[name].append(time.perf_counter() - start)
    return {name: Sample(tuple(found)) for name, found in times.items()}


def share(size: Size) -> float:
    """Seconds that the remote part computes in a step, forward and backward, at home."""
    middle, x = tower(size.width, size.depth), torch.randn(size.batch, size.width)
    taken = []
    for _ in range(30):
        start = time.perf_counter()
        middle(x.requires_grad_()).sum().backward()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[15]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print a table and the ratios, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    with rm.launch(workers=["ps0"]) as shm, rpc_group([PEER]):
        torch_rpc = rm.connect("torchrpc://")
        computing = {name: share(size) for name, size in SIZES.items()}
        found = {
            name: in_blocks(ways(size, shm, torch_rpc), size.rounds) for name, size in SIZES.items()
        }
    console = Console(width=140)
    console.print(_table(found, computing))
    for size, one, other, goal in GOALS:
        ratio = found[size][one].median / found[size][other].median
        console.print(f"{size}: {one} / {other} = {ratio:.2f} (goal: at most {goal})")
    if arguments.json:
        seconds = {
            size: {n: {"median": s.median, "p99": s.p99} for n, s in samples.items()}
            for size, samples in found.items()
        }
        arguments.json.write_text(
            json.dumps({"machine": machine(), "computing": computing, "seconds": seconds}, indent=2)
        )


def _table(found: Mapping[str, Mapping[str, Sample]], computing: Mapping[str, float]) -> Table:
    table = Table("", "remote part", title=f"one training step, median (p99), {machine()}")
    for name in next(iter(found.values())):
        table.add_column(name, justify="right")
    for size, samples in found.items():
        cells = [f"{duration(s.median)} ({duration(s.p99)})" for s in samples.values()]
        table.add_row(size, duration(computing[size]), *cells)
    return table


if __name__ == "__main__":
    main()
