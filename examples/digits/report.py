"""What the demo prints; every number in it was measured or counted in this run."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from torch import Tensor

import remotemod as rm
from examples.digits.comparison import accuracy, same_bits, unequal_losses, unequal_weights
from examples.digits.training import Run
from examples.digits.ways import Result


def show_trainings(
    console: Console,
    local: Run,
    hybrid: Run,
    local_test: Result,
    hybrid_test: Result,
    labels: Tensor,
) -> None:
    """Both trainings side by side; "identical" means equal in every bit."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("one process", "three processes", "compared"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("identical", no_wrap=True)

    both = (local, hybrid)
    table.add_row(
        "last loss",
        *(f"{run.losses[-1]:.6f}" for run in both),
        f"{len(local.losses):,} losses",
        _yes_or_no(not unequal_losses(local, hybrid)),
    )
    table.add_row(
        "state_dict",
        *(f"{sum(tensor.numel() for tensor in run.weights.values()):,} values" for run in both),
        f"{len(local.weights)} tensors",
        _yes_or_no(not unequal_weights(local, hybrid)),
    )
    table.add_row(
        "test accuracy",
        *(f"{accuracy(test.logits, labels):.2%}" for test in (local_test, hybrid_test)),
        f"{local_test.logits.numel():,} logits",
        _yes_or_no(same_bits(local_test.logits, hybrid_test.logits)),
    )
    table.add_row("training took", *(f"{run.seconds:.2f} s" for run in both))
    table.add_row("a step took", *(f"{run.seconds / len(run.losses) * 1e3:.2f} ms" for run in both))
    console.print(table)


def show_interface(console: Console, interface: rm.Interface) -> None:
    console.print(f"[bold]{interface.name}[/] ({interface.module}), digest {interface.digest}")
    for method in interface.methods:
        arguments = ", ".join(f"{a.name}: {a.type}" for a in method.arguments)
        console.print(f"  {method.name}({arguments}) -> {method.returns}", markup=False)


def show_stub(console: Console, text: str) -> None:
    """The main lines of a stub: the class for the caller, and the function for the owner."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines, 1) if line.startswith("class Remote"))
    last = next(i for i, line in enumerate(lines, 1) if line.startswith("STUB = "))
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
        table.add_row(
            result.name,
            "" if here else _yes_or_no(same_bits(result.logits, local.logits)),
            f"{accuracy(result.logits, labels):.2%}",
            f"{result.calls / result.seconds:,.0f}",
            "" if here else _kibibytes(result.sent),
            "" if here else _kibibytes(result.received),
        )
    console.print(table)


def show_place(console: Console, what: str, path: Path) -> None:
    console.print(f"{what}: {path}", soft_wrap=True, markup=False, highlight=False)


def _yes_or_no(same: bool) -> str:
    return "[green]yes[/]" if same else "[bold red]no[/]"


def _kibibytes(count: int) -> str:
    return f"{count / 1024:,.0f} KiB"
