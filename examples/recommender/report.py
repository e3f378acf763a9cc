"""Measures recommendations, and prints what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from examples.recommender.data import Bags, Imports
from examples.recommender.model import TableState, without_known

WELL_KNOWN = (
    "json/decoder.py",
    "http/server.py",
    "argparse.py",
    "asyncio/base_events.py",
    "multiprocessing/pool.py",
    "tkinter/filedialog.py",
    "logging/handlers.py",
    "subprocess.py",
)


@dataclass(frozen=True)
class Metrics:
    """Over all files: how often the hidden import is among the first ten, and the mean of 1 / its rank."""

    hit_rate: float
    mrr: float


def measure(scores: Tensor, hidden: Tensor) -> Metrics:
    """How well scores of shape (files, modules) find the hidden modules.

    Equal scores are in the order of the modules.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    places = (order == hidden[:, None]).long().argmax(1) + 1
    return Metrics((places <= 10).float().mean().item(), (1 / places).mean().item())


def popularity(files: Bags, users: int, modules: int) -> Tensor:
    """The scores of the baseline, which recommends to every file what most files import."""
    counts = torch.bincount(files.numbers, minlength=modules).float()
    return without_known(counts.repeat(users, 1), files)


def show_metrics(console: Console, found: Mapping[str, Metrics]) -> None:
    table = Table("recommended by", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("hit rate @10", "MRR"):
        table.add_column(heading, justify="right")
    for name, metrics in found.items():
        table.add_row(name, f"{metrics.hit_rate:.1%}", f"{metrics.mrr:.3f}")
    console.print(table)


def show_tables(
    console: Console, states: Mapping[str, TableState], servers: Mapping[str, str]
) -> None:
    table = Table("table", "server", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("rows", "memory", "last gradient", "its rows", "its memory"):
        table.add_column(heading, justify="right")
    for name, state in states.items():
        kind = "sparse" if state.sparse else "dense"
        memory, gradient = _kibibytes(state.bytes), _kibibytes(state.gradient_bytes)
        table.add_row(
            name, servers[name], f"{state.rows:,}", memory, kind, f"{state.touched:,}", gradient
        )
    console.print(table)


def show_examples(console: Console, data: Imports, scores: Tensor) -> None:
    """The first five recommendations for well-known files; the hidden import is marked if it is among them."""
    table = Table("file", "hidden", "recommended", box=box.SIMPLE_HEAD, pad_edge=False)
    places = {user.name: place for place, user in enumerate(data.users)}
    known = [places[name] for name in WELL_KNOWN if name in places]
    for place in known or range(min(5, len(data.users))):
        user = data.users[place]
        best = scores[place].topk(min(5, len(data.modules))).indices.tolist()
        named = [_marked(data.modules[number], number == user.hidden) for number in best]
        table.add_row(escape(user.name), escape(data.modules[user.hidden]), ", ".join(named))
    console.print(table)


def _marked(module: str, hit: bool) -> str:
    return f"[bold green]{escape(module)}*[/]" if hit else escape(module)


def _kibibytes(count: int) -> str:
    return f"{count / 1024:,.1f} KiB"
