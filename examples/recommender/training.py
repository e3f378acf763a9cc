"""Trains tables and tower together: a plain loop, with one optimizer for each kind of gradient."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

import remotemod as rm
from examples.recommender.data import Bags, Imports, User
from examples.recommender.model import Recommender

BATCH = 32
OTHERS = 64
"""Modules drawn for each batch as wrong answers; the batch's own targets are wrong answers too."""


def train(model: Recommender, data: Imports, epochs: int, seed: int, console: Console) -> None:
    """Hides one known import of each file in turn and learns to find it among others."""
    tables = rm.RemoteOptimizer(torch.optim.SparseAdam, [model.known, model.wanted], lr=1e-2)
    tower = torch.optim.Adam(model.tower.parameters(), lr=3e-3)
    draw = random.Random(seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    model.train()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=epochs)
        for epoch in range(epochs):
            losses = []
            for users in batches(data.users, draw):
                loss = loss_of(model, users, len(data.modules), draw)
                tables.zero_grad()
                tower.zero_grad()
                loss.backward()  # the tables' gradients stay on the servers
                tables.step()
                tower.step()
                losses.append(loss.item())
            said = f"epoch {epoch + 1}/{epochs}, loss {sum(losses) / len(losses):.3f}"
            progress.update(task, advance=1, description=said)


def batches(users: Sequence[User], draw: random.Random) -> list[list[User]]:
    shuffled = draw.sample(users, len(users))
    return [shuffled[start : start + BATCH] for start in range(0, len(shuffled), BATCH)]


def loss_of(
    model: Recommender, users: Sequence[User], modules: int, draw: random.Random
) -> torch.Tensor:
    """The cross-entropy of one import of each file among the candidates, given the file's others."""
    targets = [draw.choice(user.known) for user in users]
    files = Bags.of(
        [number for number in user.known if number != target]
        for user, target in zip(users, targets, strict=True)
    )
    drawn = (draw.randrange(modules) for _ in range(OTHERS))
    candidates = torch.tensor(sorted({*targets, *drawn}))
    imported = torch.zeros(len(users), modules, dtype=torch.bool)
    imported[files.rows(), files.numbers] = True
    scores = model(files, candidates).masked_fill(imported[:, candidates], float("-inf"))
    places = torch.searchsorted(candidates, torch.tensor(targets))
    return nn.functional.cross_entropy(scores, places)
