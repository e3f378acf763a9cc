"""The generator: one interface against torch's own template, and all of torch.nn from the command line."""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

from remotemod.bench.wording import machine

COUNTS = (10, 100, 1000)
METHOD = (
    "    def forward(self, tensor: Tensor, number: int, word: str = 'default') "
    "-> Tuple[str, int, Tensor]:\n        pass\n"
)


def interfaces(folder: Path, count: int, tag: str) -> list[type]:
    """``count`` interfaces that nobody has seen before, ten to a file."""
    found: list[type] = []
    for start in range(0, count, 10):
        name = f"generated_{tag}_{count}_{start}"
        body = ["import torch", "from typing import Tuple", "from torch import Tensor", ""]
        for index in range(start, start + 10):
            # A parameter of its own makes each interface different from every other one.
            method = METHOD.replace("number", f"number_{tag}_{count}_{index}")
            body += ["@torch.jit.interface", f"class I{index}:", method]
        (folder / f"{name}.py").write_text("\n".join(body))
        module: ModuleType = importlib.import_module(name)
        found += [getattr(module, f"I{index}") for index in range(start, start + 10)]
    return found


def ours(classes: Sequence[type]) -> list[tuple[float, float]]:
    """Seconds for (render and load, read beside) of each interface."""
    from remotemod import read_interface, render
    from remotemod.stub.loader import load_stub

    found = []
    for cls in classes:
        start = time.perf_counter()
        interface = read_interface(cls)
        read = time.perf_counter()
        load_stub(render(interface))
        found.append((time.perf_counter() - read, read - start))
    return found


def theirs(classes: Sequence[type]) -> list[float]:
    """Seconds for torch's instantiation of each interface."""
    from torch.distributed.nn.jit import instantiator

    found = []
    for cls in classes:
        start = time.perf_counter()
        instantiator.instantiate_scriptable_remote_module_template(cls, True)
        found.append(time.perf_counter() - start)
    return found


def per_interface(folder: Path) -> list[dict[str, float]]:
    """The two in turn, ten interfaces at a time, for each count."""
    rows = []
    ours(interfaces(folder, 10, "warm_ours"))
    theirs(interfaces(folder, 10, "warm_theirs"))
    for count in COUNTS:
        mine = interfaces(folder, count, "ours")
        torchs = interfaces(folder, count, "theirs")
        rendered: list[tuple[float, float]] = []
        instantiated: list[float] = []
        for start in range(0, count, 10):
            rendered += ours(mine[start : start + 10])
            instantiated += theirs(torchs[start : start + 10])
        rows.append(
            {
                "interfaces": count,
                "render and load": statistics.median(r for r, _ in rendered),
                "read": statistics.median(r for _, r in rendered),
                "torch": statistics.median(instantiated),
            }
        )
    return rows


def command_line(folder: Path) -> dict[str, float]:
    """Seconds for ``gen`` of torch.nn from cold, for doing it again, and for ``--check``."""
    command = [sys.executable, "-m", "remotemod", "gen", "torch.nn", "-o", str(folder / "stubs")]
    times = {}
    for name, extra in (("gen", []), ("gen again", []), ("gen --check", ["--check"])):
        start = time.perf_counter()
        done = subprocess.run([*command, *extra], capture_output=True, text=True)
        times[name] = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    times["stubs"] = len(list((folder / "stubs").rglob("*.py")))
    return times


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, name)
        rows = per_interface(folder)
        times = command_line(folder)
    table = Table(title=f"median ms an interface, {machine()}", title_justify="left")
    for heading in ("interfaces", "render and load", "read (live)", "torch's template", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            str(row["interfaces"]),
            f"{row['render and load'] * 1e3:.2f}",
            f"{row['read'] * 1e3:.2f}",
            f"{row['torch'] * 1e3:.2f}",
            f"{row['render and load'] / row['torch']:.2f}",
        )
    console.print(table)
    seconds = ", ".join(f"{k}: {v:.2f} s" for k, v in times.items() if k != "stubs")
    console.print(f"torch.nn, {times['stubs']:.0f} stubs, start-up included: {seconds}")
    if arguments.json:
        figures = {"machine": machine(), "interfaces": rows, "torch.nn": times}
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
