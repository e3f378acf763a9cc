"""What the demo prints; every number in it was measured or counted in this run."""

from __future__ import annotations

from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from torch import Tensor

import remotemod as rm
from examples.digits.ways import Result


def show_interface(console: Console, interface: rm.Interface) -> None:
    console.print(f"[bold]{interface.name}[/] ({interface.module}), digest {interface.digest}")
    for method in interface.methods:
        arguments = ", ".join(f"{a.name}: {a.type}" for a in method.arguments)
        console.print(f"  {method.name}({arguments}) -> {method.returns}", markup=False)


def show_stub(console: Console, text: str) -> None:
    """The heart of a stub: the class for the caller, and the function for the owner."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines, 1) if line.startswith("class "))
    last = next(i for i, line in enumerate(lines, 1) if line.startswith("REMOTE_METHODS"))
    excerpt = Syntax(
        text, "python", line_range=(first, last - 3), line_numbers=True, word_wrap=True
    )
    console.print(excerpt)


def show_results(console: Console, results: list[Result], local: Result, labels: Tensor) -> None:
    console.print(f"{len(labels)} images in {local.calls} calls; sent and received: tensor bytes")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("backbone", "identical logits"):
        table.add_column(heading, no_wrap=True)
    for heading in ("accuracy", "calls/s", "sent", "received"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in (local, *results):
        here = result is local
        accuracy = (result.logits.argmax(1) == labels).float().mean().item()
        table.add_row(
            result.name,
            "" if here else _yes_or_no(torch.equal(result.logits, local.logits)),
            f"{accuracy:.2%}",
            f"{result.calls / result.seconds:,.0f}",
            "" if here else _kibibytes(result.sent),
            "" if here else _kibibytes(result.received),
        )
    console.print(table)


def differing(results: list[Result], local: Result) -> list[str]:
    """The ways whose logits are not those of the local model, bit for bit."""
    return [r.name for r in results if not torch.equal(r.logits, local.logits)]


def show_place(console: Console, path: Path) -> None:
    console.print(f"generated stub: {path}", soft_wrap=True, markup=False, highlight=False)


def _yes_or_no(same: bool) -> str:
    return "[green]yes[/]" if same else "[bold red]no[/]"


def _kibibytes(count: int) -> str:
    return f"{count / 1024:,.0f} KiB"
