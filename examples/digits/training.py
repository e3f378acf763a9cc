"""Trains the model where it is, in a few seconds, so that there are real weights to move."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from examples.digits.data import Digits


def train(model: nn.Module, digits: Digits, epochs: int, console: Console) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    model.train()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=epochs)
        for epoch in range(epochs):
            for chosen in torch.randperm(len(digits.labels)).split(32):
                logits, _ = model(digits.images[chosen])
                loss = nn.functional.cross_entropy(logits, digits.labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            said = f"epoch {epoch + 1}/{epochs}, loss {loss.item():.4f}"
            progress.update(task, advance=1, description=said)
    model.eval()
