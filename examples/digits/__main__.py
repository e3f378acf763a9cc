"""The demo's story, top to bottom: train here, generate a stub, move the backbone, compare."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import torch
from rich.console import Console
from torch import nn

import remotemod as rm
from examples.digits import data, report
from examples.digits.model import Backbone, Classifier, FeatureExtractor
from examples.digits.training import train
from examples.digits.ways import blocking, measure, place, remote_ways

BATCH = 16
THREADS = 1
"""For each process: so small a model gains nothing from more, and processes on few cores lose a lot."""


def main() -> int:
    options = parse()
    console = Console(highlight=False)

    console.rule("1. train a small model in this process")
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    training, test = data.load()
    model = Classifier(Backbone(), nn.Linear(64, 10))
    train(model, training, options.epochs, console)
    batches = test.batches(BATCH)
    local = measure("local", blocking([model]), batches)

    console.rule("2. read the backbone's interface, generate its stub")
    report.show_interface(console, rm.read_interface(FeatureExtractor))
    [stub] = rm.generate(f"{FeatureExtractor.__module__}:FeatureExtractor", options.out)
    if stub.error is not None:
        raise stub.error
    console.print()
    report.show_stub(console, stub.text)
    generated = import_file(stub.path).RemoteFeatureExtractor

    console.rule("3. move the backbone to another process")
    with rm.launch(workers=options.workers) as cluster:
        console.print(f"this process: {os.getpid()}")
        for name in cluster.workers:
            rm.rpc_sync(name, torch.set_num_threads, args=(THREADS,))
            console.print(f"{name}: process {rm.rpc_sync(name, os.getpid)}")
        remotes = [place(rm.RemoteModule, name, model.backbone) for name in cluster.workers]
        stubs = [place(generated, name, model.backbone) for name in cluster.workers]
        console.print(remotes[0], markup=False, soft_wrap=True)
        weights = sum(tensor.nbytes for tensor in model.backbone.state_dict().values())
        console.print(f"each copy received {weights / 1024:,.0f} KiB of weights")

        console.rule("4. classify the test images through it")
        ways = remote_ways(remotes, stubs, model.head)
        results = [measure(name, way, batches) for name, way in ways.items()]

    report.show_results(console, results, local, test.labels)
    report.show_place(console, stub.path)
    wrong = report.differing(results, local)
    if wrong:
        print(f"error: logits differ from the local model's: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.digits",
        description="Trains a small digit classifier, moves its backbone to a worker process, "
        "and checks that the logits stay the same.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--epochs", type=positive, default=10, help="passes over the training half")
    parser.add_argument(
        "--workers",
        type=positive,
        default=1,
        help="worker processes, each with its own copy of the backbone; eager calls go to them in "
        "turn, the scripted model holds the first",
    )
    out = Path(__file__).parent / "out"
    parser.add_argument("--out", type=Path, default=out, help="folder for the generated stub")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def import_file(path: Path) -> ModuleType:
    """Imports a generated file as any program would: its folder on the path, its name imported."""
    sys.path.insert(0, str(path.parent.resolve()))
    return importlib.import_module(path.stem)


if __name__ == "__main__":
    sys.exit(main())
