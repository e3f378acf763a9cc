"""Remote modules over torch's RPC beside torch's own RemoteModule: one process group, one run."""

from __future__ import annotations

import argparse
import functools
import json
import random
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import remotemod as rm
from benchmarks.calls.peers.torch_rpc import rpc_group
from benchmarks.modules import big, scripted_echo
from remotemod.bench.modules import Echo, EchoInterface
from remotemod.bench.timing import Sample
from remotemod.bench.wording import human, machine

SIZES = {4: 2000, 256 * 1024: 600, 4 * 1024**2: 60}
PAIRS = (
    ("scripted", "torch scripted"),
    ("eager, interface", "torch eager"),
    ("eager, interface", "torch eager, interface"),
    ("eager", "torch eager"),
)
CREATED = 60
PEER = "worker1"


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Sample]:
    """Run every way once a round, each round in another order: what one leaves behind, the next pays for.

    The first rounds warm up and do not count.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways.items())
    shuffle = random.Random(0).shuffle
    for turn in range(-3, rounds):
        shuffle(order)
        for name, way in order:
            start = time.perf_counter()
            way()
            spent = time.perf_counter() - start
            if turn >= 0:
                times[name].append(spent)
    return {name: Sample(tuple(found)) for name, found in times.items()}


def measure_calls(peer: str) -> dict[str, dict[str, Sample]]:
    """One echo of each size, by each way."""
    from torch.distributed.nn.api.remote_module import _RemoteModule

    place = f"{peer}/cpu"
    ours = rm.RemoteModule(place, scripted_echo, interface=EchoInterface)
    theirs = _RemoteModule(place, scripted_echo, _module_interface_cls=EchoInterface)
    ways: dict[str, Callable[[torch.Tensor], Any]] = {
        "scripted": torch.jit.script(ours),
        "torch scripted": torch.jit.script(theirs),
        "eager, interface": ours,
        "torch eager, interface": theirs,
        "eager": rm.RemoteModule(place, Echo),
        "torch eager": _RemoteModule(place, Echo),
    }
    found = {}
    for size, rounds in SIZES.items():
        value = torch.zeros(size // 4)
        calls = {name: functools.partial(way, value) for name, way in ways.items()}
        found[human(size)] = interleaved(calls, rounds)
    return found


def measure_creation(peer: str) -> dict[str, Sample]:
    """One module with an interface, from asking for it to its first answer."""
    from torch.distributed.nn.api.remote_module import _RemoteModule

    place, value = f"{peer}/cpu", torch.zeros(1)

    def ours() -> None:
        rm.RemoteModule(place, scripted_echo, interface=EchoInterface)(value)

    def theirs() -> None:
        _RemoteModule(place, scripted_echo, _module_interface_cls=EchoInterface)(value)

    return interleaved({"creation": ours, "torch creation": theirs}, CREATED)


def measure_modes(peer: str) -> dict[str, Sample]:
    """What ``train`` and ``eval`` of a 64 MB module cost beside a call that does nothing."""
    remote = rm.RemoteModule(f"{peer}/cpu", big)
    echo, value = rm.RemoteModule(f"{peer}/cpu", Echo), torch.zeros(1)
    ways = {"a plain call": lambda: echo(value), "train()": remote.train, "eval()": remote.eval}
    return interleaved(ways, 200)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    with torch.no_grad(), rpc_group([PEER]):
        calls = measure_calls(PEER)
        creation = measure_creation(PEER)
        modes = measure_modes(PEER)
    console = Console(width=140)
    console.print(_table(f"echo over torch's RPC, median µs (p99), {machine()}", calls))
    for one, other in PAIRS:
        ratios = ", ".join(f"{s[one].median / s[other].median:.2f}" for s in calls.values())
        console.print(f"{one} / {other}: {ratios}")
    console.print(_table("creation with an interface and the first call", {"": creation}))
    ratio = creation["creation"].median / creation["torch creation"].median
    console.print(f"creation / torch creation: {ratio:.2f}")
    console.print(_table("modes of a 64 MB module", {"": modes}))
    if arguments.json:
        found = {**calls, "creation": creation, "modes": modes}
        seconds = {
            key: {n: {"median": s.median, "p99": s.p99} for n, s in samples.items()}
            for key, samples in found.items()
        }
        arguments.json.write_text(json.dumps({"machine": machine(), "seconds": seconds}, indent=2))


def _table(title: str, rows: Mapping[str, Mapping[str, Sample]]) -> Table:
    table = Table("", title=title, title_justify="left")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    for label, samples in rows.items():
        cells = [f"{s.median * 1e6:,.0f} ({s.p99 * 1e6:,.0f})" for s in samples.values()]
        table.add_row(label, *cells)
    return table


if __name__ == "__main__":
    main()
