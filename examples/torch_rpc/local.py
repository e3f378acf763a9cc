"""Helpers of the programs: processes on this machine, and a progress bar."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator

import torch
from torch.multiprocessing.spawn import start_processes

Program = Callable[[int, str, argparse.Namespace], None]
"""What one process does: its rank, a folder that all processes see, the options."""

LOADED = ["torch.distributed.optim", "sklearn.datasets", "remotemod.backends.torch_rpc.backend"]
"""Modules that take seconds to import: a fork server loads them once, and forks the processes."""


def spawn(program: Program, processes: int, options: argparse.Namespace) -> None:
    """Runs the program in that many processes until they end; the first that fails ends all others."""
    for variable in ("TP_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"):
        os.environ.setdefault(variable, "lo")  # nothing here listens to other machines
    with tempfile.TemporaryDirectory(prefix="remotemod-example-") as folder:
        multiprocessing.set_forkserver_preload(LOADED)
        start_processes(_run, (program, folder, options), processes, start_method="forkserver")


def _run(rank: int, program: Program, folder: str, options: argparse.Namespace) -> None:
    # init_rpc warns of torch's own use of process groups.
    warnings.filterwarnings("ignore", ".*ProcessGroupGloo", UserWarning)
    torch.set_num_threads(1)  # models this small gain nothing from more
    program(rank, folder, options)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def counted(steps: int, title: str) -> Iterator[int]:
    """The numbers of the steps, with a progress bar where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from range(steps)
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(range(steps), title, console=Console(stderr=True), transient=True)
