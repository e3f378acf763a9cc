"""A CPU tensor to a remote module on a GPU and back, beside a local module on that GPU: one run, all ways in turn.

``scripts/gpu_check.sh`` runs it where there is a GPU; on the CPU and on meta it is a dry run.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import remotemod as rm
from remotemod.bench.wording import duration, human, machine

KIB, MIB = 1 << 10, 1 << 20
SIZES = (4, 4 * KIB, 256 * KIB, 4 * MIB, 64 * MIB, 256 * MIB)
QUICK = (4, 256 * KIB, 4 * MIB)
RPC_LIMIT = 64 * MIB
"""Larger ones take torch's RPC too long for the time that there is."""
BLOCK = 0.02
FEWEST = 3
RATIOS = (
    ("remote", "local"),
    ("remote, pinned", "local, pinned"),
    ("remote, rm.empty", "local"),
    ("torch_rpc", "local"),
)

Call = Callable[[], object]


class Scale(nn.Module):
    """Little to compute, so that what is measured is the way there and back."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.by


@dataclass(frozen=True)
class Times:
    """Seconds of each call of one way at one size."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p10(self) -> float:
        """What one call in ten stays below."""
        return sorted(self.values)[len(self.values) // 10]


def local(module: nn.Module, x: Tensor, device: str) -> Tensor:
    """There and back from ordinary memory, as most programs have it."""
    y: Tensor = module(x.to(device))
    return y if y.is_meta else y.cpu()


def local_pinned(module: nn.Module, x: Tensor, out: Tensor, device: str) -> Tensor:
    """There and back between buffers that stay pinned: the fastest that this process can do."""
    out.copy_(module(x.to(device, non_blocking=True)), non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return out


def ways(
    size: int, device: str, clusters: Mapping[str, rm.Cluster], modules: Mapping[str, nn.Module]
) -> dict[str, Call]:
    """Each way for a tensor of so many bytes."""
    x = torch.rand(size // 4)
    shared = rm.empty(x.shape)
    shared.copy_(x)
    here, there = modules["local"], modules["shm"]
    found: dict[str, Call] = {
        "local": functools.partial(local, here, x, device),
        "remote": functools.partial(there, x),
        "remote, rm.empty": functools.partial(there, shared),
    }
    if device.startswith("cuda"):
        pinned, out = x.pin_memory(), torch.empty_like(x).pin_memory()
        found["local, pinned"] = functools.partial(local_pinned, here, pinned, out, device)
        found["remote, pinned"] = functools.partial(there, pinned)
    if "torch_rpc" in clusters and size <= RPC_LIMIT:
        found["torch_rpc"] = functools.partial(modules["torch_rpc"], x)
    return found


def measured(calls: Mapping[str, Call], seconds: float) -> dict[str, Times]:
    """Run blocks of calls, the ways in another order each round, until the time is over."""
    blocks = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        blocks[name] = max(1, int(BLOCK / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls.items()), random.Random(0).shuffle
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < FEWEST or time.perf_counter() < end:
        shuffle(order)
        for name, call in order:
            for _ in range(blocks[name]):
                start = time.perf_counter()
                result = call()
                times[name].append(time.perf_counter() - start)
                del result
        rounds += 1
    return {name: Times(tuple(found)) for name, found in times.items()}


def check(device: str, modules: Mapping[str, nn.Module]) -> None:
    """What is measured gives the right result, or nothing is measured."""
    x = torch.rand(1000)
    for name, module in modules.items():
        y = local(module, x, device) if name == "local" else module(x)
        if y.shape != x.shape or not (y.is_meta or torch.equal(y, x * 2)):
            raise SystemExit(f"{name} gives a wrong result on {device}: nothing was measured")


# --- what is said of it -----------------------------------------------------------------------


def place(device: str) -> str:
    """What figures are taken on."""
    if not device.startswith("cuda"):
        return f"{machine()}; a dry run on {device}"
    found = torch.cuda.get_device_properties(device)
    return f"{machine()}, CUDA {torch.version.cuda}; {found.name}, {found.total_memory / 2**30:.0f} GiB"


def row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def tables(found: Mapping[int, Mapping[str, Times]]) -> list[str]:
    """Medians with their first deciles, then ratios of both."""
    names = list(dict.fromkeys(name for times in found.values() for name in times))
    sizes = [human(size) for size in found]
    lines = ["Median (p10):", "", row(["way", *sizes]), "|" + "---|" * (len(sizes) + 1)]
    for name in names:
        taken = [times.get(name) for times in found.values()]
        lines.append(
            row([name, *(f"{duration(t.median)} ({duration(t.p10)})" if t else "" for t in taken)])
        )
    lines += ["", "Ratio of the medians (of the p10):", ""]
    lines += [row(["ratio", *sizes]), "|" + "---|" * (len(sizes) + 1)]
    for one, other in RATIOS:
        if one in names and other in names:
            pairs = [(times.get(one), times.get(other)) for times in found.values()]
            lines.append(row([f"{one} / {other}", *(ratio(a, b) for a, b in pairs)]))
    return lines


def ratio(one: Times | None, other: Times | None) -> str:
    """A ratio of medians and one of first deciles."""
    if one is None or other is None:
        return ""
    return f"{one.median / other.median:.2f} ({one.p10 / other.p10:.2f})"


def as_dict(found: Mapping[int, Mapping[str, Times]], **more: Any) -> dict[str, Any]:
    """All of it, times in seconds and sizes in bytes."""
    rows = [
        {"bytes": size, "way": name, "median": t.median, "p10": t.p10, "calls": len(t.values)}
        for size, times in found.items()
        for name, t in times.items()
    ]
    return {**more, "rows": rows}


def run(device: str, quick: bool, seconds: float, notes: list[str]) -> dict[int, dict[str, Times]]:
    """The times; what else is to be said is added to the notes."""
    with contextlib.ExitStack() as stack:
        start = time.perf_counter()
        clusters = {"shm": stack.enter_context(rm.launch(workers=["w"]))}
        modules: dict[str, nn.Module] = {"shm": rm.RemoteModule(f"w/{device}", Scale)}
        modules["shm"](torch.ones(1))
        first = duration(time.perf_counter() - start)
        notes.append(f"The first call has answered {first} after `rm.launch` began.")
        try:
            if device == "meta":
                raise ValueError("it carries tensors on the CPU, and from meta none come back")
            clusters["torch_rpc"] = stack.enter_context(
                rm.launch(workers=["v"], backend="torch_rpc")
            )
            modules["torch_rpc"] = rm.RemoteModule(f"v/{device}", Scale)
            modules["torch_rpc"](torch.ones(1))
        except Exception as error:  # the rest is worth measuring
            clusters.pop("torch_rpc", None)
            modules.pop("torch_rpc", None)
            notes.append(f"torch_rpc was not measured: {str(error).splitlines()[0]}.")
        modules["local"] = Scale().to(device)
        stack.enter_context(torch.no_grad())
        check(device, modules)
        sizes = QUICK if quick else SIZES
        return {
            size: measured(ways(size, device, clusters, modules), seconds / len(sizes))
            for size in sizes
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the figures where asked, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="where the modules are (cuda:0)")
    parser.add_argument("--out", type=Path, help="a folder for gpu.md and gpu.json")
    parser.add_argument("--seconds", type=float, help="how long to measure (40; quick: 3)")
    parser.add_argument("--quick", action="store_true", help="small tensors, few calls")
    given = parser.parse_args(argv)
    device = "cuda:0" if given.device == "cuda" else given.device
    seconds = given.seconds or (3.0 if given.quick else 40.0)
    notes = [f"{place(device)}."]
    found = run(device, given.quick, seconds, notes)
    lines = [*notes, "", *tables(found)]
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "gpu.md").write_text("\n".join(lines) + "\n")
        figures = as_dict(found, device=device, notes=notes)
        (given.out / "gpu.json").write_text(json.dumps(figures, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
