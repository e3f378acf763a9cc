"""Measure remote calls beside other libraries' in one run, and hold the ratios against our targets.

The measuring is that of ``remotemod bench``; here are the other libraries, the targets and the plot.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.calls import DISTRIBUTIONS, PEERS
from benchmarks.calls.markdown import print_report
from benchmarks.calls.plot import draw, require_matplotlib
from remotemod.bench.options import QUANTITIES, Options, names_in, sizes_in, turns_in
from remotemod.bench.peers import choices
from remotemod.bench.report import as_dict, measure
from remotemod.bench.wording import machine
from remotemod.cli.output import progress_bar
from remotemod.errors import RemoteModError

__all__ = ["main"]

SIZES = "4,4KiB,256KiB,4MiB,64MiB"
"""What the targets are for, whether the run is quick or not."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print tables, and write the figures and the plot where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--only", default=",".join(QUANTITIES), help="quantities, with commas")
    parser.add_argument("--against", help="peers, with commas; by default all that are installed")
    parser.add_argument("--sizes", default=SIZES, help="of the tensors, with commas")
    parser.add_argument("--workers", type=int, help="to launch, to call at once and to weigh")
    parser.add_argument("--turns", default="blocks", help="blocks or single")
    parser.add_argument("--quick", action="store_true", help="measure less")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--plot", type=Path, help="draw latency by bytes here")
    given = parser.parse_args(argv)
    try:
        options = Options(
            names_in(given.only, QUANTITIES),
            None if given.against is None else names_in(given.against, choices(PEERS)),
            sizes_in(given.sizes),
            given.workers,
            given.quick,
            turns_in(given.turns),
            PEERS,
        )
        if given.plot:
            if "latency" not in options.only:
                raise ValueError("--plot draws latency; add latency to --only")
            require_matplotlib()
    except (ValueError, RemoteModError) as error:
        parser.error(str(error))
    with progress_bar() as progress:
        report = measure(options, progress)
    print_report(report)
    if given.json:
        given.json.write_text(json.dumps(as_dict(report, DISTRIBUTIONS), indent=2) + "\n")
    if given.plot:
        draw(report.latency, given.plot, machine())


if __name__ == "__main__":
    main()
