"""The commands: options in, remotemod's functions called, tables and exit codes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from remotemod.stubs.declaration import Form

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
