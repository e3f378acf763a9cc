"""The commands: options in, remotemod's functions called, tables and exit codes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from remotemod.stub.declaration import Form

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A code-generating remote-module compiler for PyTorch.",
)

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        help="pkg.mod:Name, path/to/file.py:Name, or a module, file, package or folder alone (everything in it).",
        show_default=False,
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        from remotemod.version import VERSION

        typer.echo(f"remotemod {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """A code-generating remote-module compiler for PyTorch."""


@app.command()
def gen(
    targets: Targets,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this
        typer.Option("-o", "--output", metavar="DIR", help="The folder for the stubs."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a stub is out of date.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; print what changes.")
    ] = False,
    stdout: Annotated[
        bool, typer.Option("--stdout", help="Print the stubs instead of writing them.")
    ] = False,
    scripted: Annotated[
        Optional[bool],  # noqa: UP045 - typer reads this
        typer.Option(
            "--scripted/--eager",
            help="For TorchScript or not; by default as the interface is.",
            show_default=False,
        ),
    ] = None,
    device_moves: Annotated[
        bool,
        typer.Option(
            "--device-moves/--no-device-moves", help="Move tensors to the module's device and back."
        ),
    ] = True,
    live: Annotated[
        bool,
        typer.Option("--import", help="Import the targets and read them live (runs their code)."),
    ] = False,
) -> None:
    """Generate stubs: typed, readable Python that calls a module somewhere else."""
    from .generating import run

    if output is None and not stdout:
        raise typer.BadParameter("give -o DIR, or --stdout", param_hint="-o")
    form: Form | None = None if scripted is None else ("scripted" if scripted else "eager")
    status = run(
        targets,
        output,
        check=check,
        diff=diff,
        stdout=stdout,
        form=form,
        device_moves=device_moves,
        live=live,
    )
    raise typer.Exit(status)


@app.command()
def show(
    targets: Targets,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    live: Annotated[
        bool,
        typer.Option("--import", help="Import the targets and read them live (runs their code)."),
    ] = False,
) -> None:
    """Show an interface: its methods, arguments, types and defaults."""
    from .showing import run

    raise typer.Exit(run(targets, as_json=json, live=live))


@app.command()
def migrate(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Python files, and folders to search for some.",
            show_default=False,
        ),
    ],
    write: Annotated[
        bool,
        typer.Option("--write/--diff", help="Rewrite the files, or only print what would change."),
    ] = False,
) -> None:
    """Move code from torch.distributed.nn.RemoteModule to remotemod."""
    from .migrating import run

    raise typer.Exit(run(paths, write=write))


@app.command()
def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="pkg.mod:factory or path/to/file.py:factory, called without arguments: it returns the model.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The archive to write.")
    ],
    workers: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this
        typer.Option(metavar="LIST", help="Workers to launch first, such as ps0,ps1."),
    ] = None,
    backend: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this
        typer.Option(metavar="NAME", help="What launches them; by default shm."),
    ] = None,
) -> None:
    """Save a model with remote parts as a TorchScript archive that other processes can load."""
    from .exporting import run

    if backend is not None and workers is None:
        raise typer.BadParameter(
            "name the workers to launch: --workers ps0,ps1", param_hint="--backend"
        )
    raise typer.Exit(run(target, output, workers, backend))


@app.command()
def bench(
    only: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this
        typer.Option(
            metavar="LIST",
            help="Some of latency,throughput,fanout,creation,launch,memory; by default all.",
        ),
    ] = None,
    against: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this
        typer.Option(
            metavar="LIST",
            help="Some of direct,inproc,torch_rpc; by default all that can run here.",
        ),
    ] = None,
    sizes: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this
        typer.Option(metavar="LIST", help="Sizes of tensors, such as 4,256KiB,4MiB."),
    ] = None,
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this
        typer.Option(metavar="N", help="Workers to launch, to call at once and to weigh."),
    ] = None,
    turns: Annotated[
        str,
        typer.Option(
            metavar="blocks|single",
            help="What a turn is: a block of calls back to back, or one call between other ways' calls.",
        ),
    ] = "blocks",
    quick: Annotated[bool, typer.Option("--quick", help="Measure less, for a first look.")] = False,
    json: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this
        typer.Option(metavar="FILE", help="Write all figures here, times in seconds."),
    ] = None,
) -> None:
    """Measure remote calls on this machine, over each backend, and what no call can be faster than."""
    from .benching import options_of, run

    try:
        options = options_of(only, against, sizes, workers, turns, quick)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    raise typer.Exit(run(options, json))


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    all_names: Annotated[
        bool,
        typer.Option(
            "--all", help="List each private name of torch, not those alone that are missing."
        ),
    ] = False,
) -> None:
    """Examine this installation: versions, what of torch is relied on, and a live try of each backend.

    Exits with 1 if something that is installed does not work.
    """
    from .diagnosing import run

    raise typer.Exit(run(json, all_names))
