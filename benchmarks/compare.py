"""Two checkouts beside each other in one run: ``python -m benchmarks.compare OTHER [--rounds N]``.

Each round starts a process of either checkout, in changing order, and takes the median of each bench in it; what is
printed is the median over the rounds, and the ratio of this checkout's to the other's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

__all__ = ["main"]

HERE = Path(__file__).parent.parent


def measure() -> dict[str, float]:
    """The benches, in microseconds; public names alone, so any version can run them."""
    import torch
    from torch import nn

    import remotemod as rm

    torch.set_num_threads(1)
    medians: dict[str, float] = {}

    def bench(name: str, function: Callable[[], object], count: int) -> None:
        for _ in range(max(3, count // 10)):
            function()
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
        medians[name] = statistics.median(times) * 1e6

    with rm.launch(["w"], threads=1):
        echo = rm.RemoteModule("w", nn.Identity)
        with torch.no_grad():
            for name, size, count in (
                ("4 B", 1, 3000),
                ("4 MiB", 2**20, 150),
                ("64 MiB", 2**24, 12),
            ):
                x = torch.ones(size)
                bench(f"echo {name}", lambda x=x: echo(x), count)
            bench("echo, dict of 20", lambda: echo({str(i): torch.ones(2) for i in range(20)}), 400)
        bench("echo 4 B, future", lambda: echo.forward_async(1).wait(), 1500)
        bench("function", lambda: rm.rpc_sync("w", int, ("7",)), 800)
        for name, width, rows, count in (("small", 16, 8, 300), ("medium", 512, 64, 60)):
            layer = rm.RemoteModule("w", nn.Linear, args=(width, width))
            optimizer = rm.RemoteOptimizer(torch.optim.SGD, [layer], lr=0.01)
            x = torch.ones(rows, width, requires_grad=True)

            def forward_backward(layer: nn.Module = layer, x: torch.Tensor = x) -> None:
                layer(x).sum().backward()

            def step(
                optimizer: rm.RemoteOptimizer = optimizer,
                run: Callable[[], None] = forward_backward,
            ) -> None:
                optimizer.zero_grad()
                run()
                optimizer.step()

            bench(f"forward and backward, {name}", forward_backward, count)
            bench(f"training step, {name}", step, count)
    return medians


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    found: dict[Path, dict[str, list[float]]] = {}
    for number in range(options.rounds):
        sides = [HERE, options.other.resolve()]
        random.shuffle(sides)
        for side in sides:
            print(f"round {number + 1} of {options.rounds}: {side.name}", file=sys.stderr)
            environment = {**os.environ, "PYTHONPATH": str(side)}
            command = [sys.executable, str(Path(__file__).resolve()), "--measure"]
            done = subprocess.run(
                command, env=environment, cwd=side, capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{side} failed:\n{done.stderr}")
            table = found.setdefault(side, defaultdict(list))
            for name, value in json.loads(done.stdout).items():
                table[name].append(value)
    ours, theirs = found[HERE], found[options.other.resolve()]
    print("| µs, median of the rounds' medians (least) | other | this | this / other |")
    print("|---|---|---|---|")
    for name in ours:
        one, two = statistics.median(ours[name]), statistics.median(theirs[name])
        print(
            f"| {name} | {two:,.0f} ({min(theirs[name]):,.0f}) | {one:,.0f} ({min(ours[name]):,.0f}) | {one / two:.2f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
    else:
        main()
