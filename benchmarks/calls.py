"""Latency of one blocking call by size: direct, inproc, shm, and torch's RemoteModule."""

from __future__ import annotations

import argparse
import functools
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import remotemod as rm
from benchmarks.timing import Sample, human, interleaved, machine
from benchmarks.torch_peer import Echo, EchoInterface, scripted_echo, torch_worker

SIZES = {4: 400, 256 * 1024: 100, 4 * 1024**2: 30, 64 * 1024**2: 8}


def measure() -> dict[int, dict[str, Sample]]:
    """The times of each way for each size."""
    from torch.distributed.nn.api.remote_module import _RemoteModule

    found = {}
    with (
        torch.no_grad(),
        torch_worker() as peer,
        rm.launch(workers=["w"]) as shm,
        rm.launch(workers=["w"], backend="inproc") as inproc,
    ):
        local = Echo()
        remote = rm.RemoteModule("w", Echo, interface=EchoInterface, cluster=shm)
        here = rm.RemoteModule("w", Echo, cluster=inproc)
        theirs = _RemoteModule(f"{peer}/cpu", Echo)
        theirs_scripted = torch.jit.script(
            _RemoteModule(f"{peer}/cpu", scripted_echo, _module_interface_cls=EchoInterface)
        )
        scripted = torch.jit.script(remote)
        ways: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
            "direct": local,
            "inproc": here,
            "shm": remote,
            "shm scripted": scripted,
            "torch RemoteModule": theirs,
            "torch scripted": theirs_scripted,
        }
        for size, rounds in SIZES.items():
            value = torch.zeros(size // 4)
            calls = {name: functools.partial(way, value) for name, way in ways.items()}
            found[size] = interleaved(calls, rounds)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints a table, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    found = measure()
    table = Table(title=f"echo, median µs (p99), {machine()}", title_justify="left")
    table.add_column("bytes")
    names = list(next(iter(found.values())))
    for name in names:
        table.add_column(name, justify="right")
    for size, samples in found.items():
        cells = [f"{s.median * 1e6:,.0f} ({s.p99 * 1e6:,.0f})" for s in samples.values()]
        table.add_row(human(size), *cells)
    for ours, theirs in (("shm", "torch RemoteModule"), ("shm scripted", "torch scripted")):
        ratios = [f"{s[ours].median / s[theirs].median:.2f}" for s in found.values()]
        table.caption = (table.caption or "") + f"{ours} / {theirs}: {', '.join(ratios)}\n"
    Console(width=140).print(table)
    if arguments.json:
        figures = {
            str(size): {n: {"median": s.median, "p99": s.p99} for n, s in samples.items()}
            for size, samples in found.items()
        }
        arguments.json.write_text(json.dumps({"machine": machine(), "seconds": figures}, indent=2))


if __name__ == "__main__":
    main()
