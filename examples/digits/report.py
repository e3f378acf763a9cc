"""What the demo prints; every number in it was measured or counted in this run."""

from __future__ import annotations

from pathlib import Path

import remotemod as rm
import torch
from examples.digits.ways import Result
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from torch import Tensor


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
    excerpt = Syntax(text, "python", line_range=(first, last - 3), line_numbers=True)
    console.print(excerpt)


def show_results(console: Console, results: list[Result], local: Result, labels: Tensor) -> None:
    table = Table(title=f"{len(labels)} test images in {local.calls} batches")
    table.add_column("backbone")
    table.add_column("identical logits")
    for heading in ("accuracy", "calls/s", "sent", "received"):
        table.add_column(heading, justify="right")
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
