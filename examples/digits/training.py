"""One training loop for both models, the one in one process and the one in three."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn

import remotemod as rm
from examples.digits.data import Digits

BATCH = 32
SEED = 0


@dataclass(frozen=True)
class Run:
    """The result of a training: the loss of each step, seconds, and the weights by name."""

    losses: list[float]
    seconds: float
    weights: dict[str, Tensor]


def seed(workers: Sequence[str] = ()) -> None:
    """Seeds the random numbers here and on the workers, because dropout draws where it runs."""
    torch.manual_seed(SEED)
    for worker in workers:
        rm.rpc_sync(worker, seed)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    digits: Digits,
    epochs: int,
    console: Console,
) -> Run:
    """Trains a model, wherever it is; the order of the images is the same in each training."""
    order = torch.Generator().manual_seed(SEED)
    count = len(digits.labels)
    losses = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    model.train()
    start = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=epochs)
        for epoch in range(epochs):
            for chosen in torch.randperm(count, generator=order).split(BATCH):
                optimizer.zero_grad()
                logits, _ = model(digits.images[chosen])
                loss = nn.functional.cross_entropy(logits, digits.labels[chosen])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            said = f"epoch {epoch + 1}/{epochs}, loss {losses[-1]:.4f}"
            progress.update(task, advance=1, description=said)
    seconds = time.perf_counter() - start
    model.eval()
    return Run(losses, seconds, model.state_dict())
