"""The demo, step by step: train in one process, train in three, compare, call the remote backbone."""

from __future__ import annotations

import argparse
import copy
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import torch
from rich.console import Console

import remotemod as rm
from examples.arguments import positive
from examples.digits import data, plot, report
from examples.digits.comparison import differences, unequal_ways
from examples.digits.model import Backbone, Block, Classifier, FeatureExtractor
from examples.digits.training import seed, train
from examples.digits.ways import blocking, measure, remote_ways

BATCH = 16
LEARNING_RATE = 2e-3
THREADS = 1
"""Threads of each process: a model this small gains nothing from more, and on few cores processes slow each other down."""


def main() -> int:
    options = parse()
    plot.require_matplotlib()
    console = Console(highlight=False)
    torch.set_num_threads(THREADS)  # workers use as many
    training, test = data.load()
    batches = test.batches(BATCH)

    console.rule("1. train a small model in this process")
    seed()
    model = Classifier(Backbone(), Block())
    start = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    seed()
    local = train(model, optimizer, training, options.epochs, console)
    local_test = measure("local", blocking(model), batches)

    console.rule("2. train the same model in three processes")
    with rm.launch(workers=["worker0", "worker1"]) as cluster:
        backbone = rm.RemoteModule("worker0/cpu", Backbone, interface=FeatureExtractor)
        hybrid = Classifier(backbone, rm.RemoteModule("worker1/cpu", Block))
        hybrid.load_state_dict(start)
        optimizer = rm.RemoteOptimizer(torch.optim.Adam, hybrid, lr=LEARNING_RATE)
        console.print(hybrid, markup=False, soft_wrap=True)
        console.print(optimizer, markup=False, no_wrap=True, overflow="ellipsis")
        for name in cluster.workers:
            console.print(f"{name}: process {rm.rpc_sync(name, os.getpid)}")
        console.print(f"this process: {os.getpid()}")
        seed(cluster.workers)
        remote = train(hybrid, optimizer, training, options.epochs, console)
        remote_test = measure("three processes", blocking(hybrid), batches)

        console.rule("3. compare")
        report.show_trainings(console, local, remote, local_test, remote_test, test.labels)
        picture = options.out / "losses.png"
        plot.draw(local, remote, picture)
        report.show_place(console, "plot of the losses", picture)
        wrong = differences(local, remote, local_test, remote_test, test.labels)

        console.rule("4. read the backbone's interface, generate its stub")
        report.show_interface(console, rm.read_interface(FeatureExtractor))
        [stub] = rm.generate(f"{FeatureExtractor.__module__}:FeatureExtractor", options.out)
        if stub.error is not None:
            raise stub.error
        console.print()
        report.show_stub(console, stub.text)
        report.show_place(console, "generated stub", stub.path)
        generated = import_file(stub.path).RemoteFeatureExtractor

        console.rule("5. call the trained backbone, where it is, in every way")
        typed = generated.init_from_module_rref("worker0/cpu", backbone.get_module_rref())
        ways = remote_ways(backbone, typed, hybrid.head)
        results = [measure(name, way, batches) for name, way in ways.items()]

    report.show_results(console, results, local_test, test.labels)
    if other := unequal_ways(results, local_test):
        wrong.append(f"logits differ from the local model's: {', '.join(other)}")
    for sentence in wrong:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.digits",
        description="Trains a small digit classifier in one process and once more in three, checks "
        "that losses, weights and logits are the same, and calls the remote part in every way.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--epochs", type=positive, default=10, help="passes over the training half")
    out = Path(__file__).parent / "out"
    parser.add_argument("--out", type=folder, default=out, help="folder for the stub and the plot")
    return parser.parse_args()


def folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def import_file(path: Path) -> ModuleType:
    """Imports a generated file as any program would: adds its folder to the path and imports it by name."""
    sys.path.insert(0, str(path.parent.resolve()))
    return importlib.import_module(path.stem)


if __name__ == "__main__":
    sys.exit(main())
