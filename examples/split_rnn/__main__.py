"""The example, step by step: split a model, prove that it is the same, train it, let it write."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import remotemod as rm
from examples.arguments import positive
from examples.split_rnn import plot
from examples.split_rnn.model import LanguageModel, sample, split, unsplit
from examples.split_rnn.text import Text, load
from examples.split_rnn.training import perplexity, steps_of_split, steps_of_unsplit

WORKERS = ("lower", "upper")
LOOKS = 8
"""How often the held-out text is evaluated during training."""


def main() -> int:
    options = parse()
    console = Console(highlight=False)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # three processes on few cores; workers use as many as their caller

    console.rule("1. the text, which stays in this process")
    text = load(options.characters)
    console.print(
        f"{len(text.training):,} characters to learn from, {len(text.held_out):,} held out, "
        f"{len(text.alphabet)} different ones"
    )

    with rm.launch(workers=list(WORKERS)):
        console.rule("2. one model here, and the same one split")
        whole = unsplit(len(text.alphabet), options.width)
        model = split(len(text.alphabet), options.width, WORKERS)
        model.load_state_dict(whole.state_dict())
        console.print(model, markup=False)
        console.print(f"this process: {os.getpid()}")
        for worker in WORKERS:
            console.print(f"{worker}: process {rm.rpc_sync(worker, os.getpid)}")
        start = perplexity(model, text.held_out)

        console.rule("3. train, the first steps side by side with the unsplit one")
        trained = steps_of_split(model, text)
        first = list(itertools.islice(trained, options.check))
        twin = list(itertools.islice(steps_of_unsplit(whole, text), options.check))
        differing = different(model, whole, first == twin)
        console.print(
            f"{options.check} steps: losses, gradient norms, and then all weights are "
            + ("the same, bit for bit" if not differing else f"not the same: {differing}")
        )
        losses = [step.loss for step in first]
        held_out = {0: start}
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("training", total=options.steps, completed=len(losses))
            every = -(-options.steps // LOOKS)
            while len(losses) < options.steps:
                losses.append(next(trained).loss)
                if len(losses) % every == 0:
                    held_out[len(losses)] = perplexity(model, text.held_out)
                said = f"step {len(losses)}/{options.steps}, loss {losses[-1]:.3f}"
                progress.update(task, completed=len(losses), description=said)
        held_out[options.steps] = perplexity(model, text.held_out)

        console.rule("4. what it has learnt")
        console.print("perplexity for each character of the held-out text:")
        console.print(f"  before training   {start:7.2f}")
        console.print(f"  unigram baseline  {text.unigram_perplexity():7.2f}")
        console.print(f"  after training    {held_out[options.steps]:7.2f}")
        console.rule("5. it writes")
        console.print(written(model, text, options), markup=False)

    options.out.mkdir(parents=True, exist_ok=True)
    plot.draw(options.out / "perplexity.png", losses, held_out, text.unigram_perplexity())
    console.print(f"plot: {options.out / 'perplexity.png'}", soft_wrap=True, markup=False)
    if differing:
        print(f"error: split and unsplit differ: {differing}", file=sys.stderr)
    return 1 if differing else 0


def different(model: LanguageModel, whole: LanguageModel, same_steps: bool) -> str:
    """The names of what differs between the two; empty if nothing does."""
    ours, theirs = model.state_dict(), whole.state_dict()
    names = [name for name, weight in theirs.items() if not torch.equal(weight, ours[name])]
    return ", ".join([*([] if same_steps else ["losses or norms"]), *names])


def written(model: LanguageModel, text: Text, options: argparse.Namespace) -> str:
    start = text.encode("The ")
    generator = torch.Generator().manual_seed(options.seed)
    return text.decode(sample(model, start, options.sample, generator))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.split_rnn",
        description="Trains a language model whose two LSTMs run in two other processes, on text that comes with "
        "Python, and checks that it learns what the unsplit model learns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=positive, default=400, help="training steps")
    parser.add_argument(
        "--width", type=positive, default=128, help="of the embedding and the LSTMs"
    )
    parser.add_argument(
        "--check", type=positive, default=20, help="steps that are compared with the unsplit model"
    )
    parser.add_argument("--sample", type=positive, default=400, help="characters to write")
    parser.add_argument("--characters", type=positive, help="take only the text's beginning")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of what is written")
    out = Path(__file__).parent / "out"
    parser.add_argument("--out", type=Path, default=out, help="folder for the plot")
    options = parser.parse_args()
    if options.check > options.steps:
        parser.error(f"--check {options.check} is more than --steps {options.steps}")
    if options.characters is not None and options.characters < 1_000:
        parser.error(f"--characters {options.characters} is too few; take 1,000 or more")
    if options.out.exists() and not options.out.is_dir():
        parser.error(f"--out {options.out} is a file; name a folder")
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("the plot needs matplotlib: pip install 'remotemod[examples]'")
    return options


if __name__ == "__main__":
    sys.exit(main())
