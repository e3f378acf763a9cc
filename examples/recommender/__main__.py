"""The example, step by step: read, train, recommend, look at the servers, save and load."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

import remotemod as rm
from examples.arguments import positive
from examples.recommender import report
from examples.recommender.data import Bags, find_files, leave_one_out, read_imports
from examples.recommender.model import Recommender, look, scores_of_all
from examples.recommender.training import train

SEED = 0


def main() -> int:
    options = parse()
    console = Console(highlight=False)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # a model this small gains nothing from more
    servers = [f"ps{number}" for number in range(options.servers)]

    with rm.launch(workers=servers), folder(options.out) as out:
        console.rule("1. which files import what")
        data = leave_one_out(read_on(servers, options.files))
        console.print(
            f"{len(options.files):,} files read by {' and '.join(servers)}; {len(data.users):,} with enough imports, "
            f"{len(data.modules):,} modules; one import of each file is hidden"
        )

        console.rule("2. train: tables on the servers, the tower here")
        for server in servers:
            rm.rpc_sync(server, torch.manual_seed, args=(SEED,))
        model = Recommender(servers, len(data.modules), options.dim)
        console.print(model, markup=False)
        train(model, data, options.epochs, SEED, console)

        console.rule("3. recommend to each file what it imports, but was hidden")
        files = Bags.of(user.known for user in data.users)
        hidden = torch.tensor([user.hidden for user in data.users])
        scores = scores_of_all(model, files, len(data.modules))
        found = {
            "popularity": report.measure(
                report.popularity(files, len(data.users), len(data.modules)), hidden
            ),
            "the model": report.measure(scores, hidden),
        }
        report.show_metrics(console, found)
        report.show_examples(console, data, scores)

        console.rule("4. what is on the servers")
        tables = model.tables
        states = {name: look(table) for name, table in tables.items()}
        report.show_tables(console, states, {name: table.on for name, table in tables.items()})

        console.rule("5. save there, load into new tables")
        for name, table in tables.items():
            table.save(out / f"{name}.safetensors")  # written by the server
        again = Recommender(servers[::-1], len(data.modules), options.dim)
        load(again, out, model.tower)
        same = torch.equal(scores_of_all(again, files, len(data.modules)), scores)
        for name, table in again.tables.items():
            size = (out / f"{name}.safetensors").stat().st_size
            console.print(f"{name}.safetensors, {size:,} bytes, loaded by {table.on}")
        console.print(f"the same scores for every file and module: {'yes' if same else 'no'}")

    faults = [] if same else ["the loaded tables recommend otherwise"]
    faults += [f"the gradient of {name} is dense" for name, s in states.items() if not s.sparse]
    if faults:
        print(f"error: {'; '.join(faults)}", file=sys.stderr)
    return 1 if faults else 0


def read_on(servers: Sequence[str], files: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Each server reads its share of the files, all at the same time."""
    shares = [files[first :: len(servers)] for first in range(len(servers))]
    answers = [
        rm.rpc_async(server, read_imports, args=(share,))
        for server, share in zip(servers, shares, strict=True)
    ]
    return {name: modules for answer in answers for name, modules in answer.wait().items()}


def load(model: Recommender, out: Path, tower: nn.Module) -> None:
    """Fills a new model's tables from the files, and its tower from another one."""
    for name, table in model.tables.items():
        table.load(out / f"{name}.safetensors")  # read by the server
    model.tower.load_state_dict(tower.state_dict())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.recommender",
        description="Learns from the standard library which modules a Python file imports, with embedding tables "
        "on parameter servers, and recommends modules to files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--epochs", type=positive, default=15, help="passes over the files")
    parser.add_argument("--dim", type=positive, default=32, help="length of an embedding")
    parser.add_argument(
        "--servers", type=int, choices=(1, 2), default=2, help="processes that hold the two tables"
    )
    parser.add_argument(
        "--packages",
        nargs="*",
        default=[],
        metavar="NAME",
        help="installed packages whose files are read too, such as torch",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the saved tables (default: one that is deleted again)"
    )
    options = parser.parse_args()
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        parser.error(f"--out {options.out} is a file; name a folder")
    try:
        options.files = find_files(options.packages)
    except ModuleNotFoundError as error:
        parser.error(f"--packages: {error}")
    return options


@contextmanager
def folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="remotemod-recommender-") as made:
        yield Path(made)


if __name__ == "__main__":
    sys.exit(main())
