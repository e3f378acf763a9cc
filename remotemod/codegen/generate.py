"""From targets to stub files: locate, read, render, check, write."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remotemod.codegen.check import check_for_file
from remotemod.codegen.plan import plan_stub
from remotemod.codegen.targets import Found, Progress, find_interfaces
from remotemod.codegen.write import current, difference, write_if_changed
from remotemod.errors import InterfaceError
from remotemod.interface.model import Interface
from remotemod.interface.naming import file_names
from remotemod.stub.declaration import Form

__all__ = ["Outcome", "Status", "generate", "regenerating_command"]

Status = Literal[
    "written", "unchanged", "drifted", "missing", "failed", "skipped", "stale", "deleted"
]


@dataclass(frozen=True)
class Outcome:
    """The outcome for one interface.

    Attributes:
        target: the ``TARGET`` that generates it.
        status: written or unchanged; drifted or missing where nothing may be written; failed; skipped
            (a module of a package that is no Python of today); stale or deleted (a stub of ours whose
            interface is gone).
        path: the stub's file; None where there is none.
        text: the stub; empty where there is none.
        diff: what changes in the file, as a unified diff.
        error: why it failed.
        reason: why it was skipped.
    """

    target: str
    status: Status
    path: Path | None = None
    text: str = ""
    diff: str = ""
    error: InterfaceError | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in ("written", "unchanged", "skipped", "deleted")


@dataclass(frozen=True)
class _Options:
    form: Form | None
    device_moves: bool
    write: bool


def generate(
    targets: str | object | Sequence[object],
    output: str | os.PathLike[str] | None,
    *,
    form: Form | None = None,
    device_moves: bool = True,
    write: bool = True,
    live: bool = False,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Generate stubs for all interfaces that the targets name.

    Args:
        targets: one or several: ``"pkg.mod:Name"``, ``"path/to/file.py:Name"``, a module, file, package or
            folder alone (all interfaces and module classes in it), or live classes.
        output: the folder for the stubs; None to render alone.
        form: ``"eager"`` or ``"scripted"``; by default scripted where TorchScript has checked the interface.
        device_moves: whether the stubs move tensors to the module's device and back.
        write: False to compare with the files and leave them as they are.
        live: import what targets name and read that, where source alone is not enough.
        progress: called before each module is read, with the number of finished ones, of all, and its name.

    Returns:
        One outcome an interface, in the targets' order, and one for each stub in ``output`` whose interface
        is gone from a module or package that was named whole (deleted when writing). An interface
        that fails does not stop the others.
    """
    if isinstance(targets, str) or not isinstance(targets, Iterable):
        targets = [targets]
    targets = list(targets)
    findings = [f for t in targets for f in find_interfaces(t, live=live, progress=progress)]
    names = file_names([f.interface for f in findings if f.interface is not None])
    folder = None if output is None else Path(output)
    options = _Options(form, device_moves, write)
    outcomes = []
    for finding in findings:
        path = None
        interface = finding.interface
        if folder is not None and interface is not None:
            path = folder / names[interface.module, interface.qualname]
        outcomes.append(_outcome(finding, path, options))
    if folder is not None:
        from remotemod.codegen.stale import stale_stubs  # needs libcst

        for path, source in stale_stubs(folder, [str(t) for t in targets], outcomes):
            if write:
                path.unlink()
            outcomes.append(Outcome(source, "deleted" if write else "stale", path))
    return outcomes


def _outcome(found: Found, path: Path | None, options: _Options) -> Outcome:
    if found.error is not None:
        return Outcome(found.target, "failed", error=found.error)
    if found.interface is None:
        return Outcome(found.target, "skipped", reason=found.skipped)
    try:
        return _generate(found.target, found.interface, path, options)
    except InterfaceError as error:
        return Outcome(found.target, "failed", path, error=error)
    except OSError as error:
        problem = InterfaceError(
            f"cannot write the stub of {found.interface.name}: {error.strerror or error}",
            how="choose a folder that can be written to (-o DIR)",
            file=str(path),
        )
        return Outcome(found.target, "failed", path, error=problem)


def _generate(target: str, interface: Interface, path: Path | None, options: _Options) -> Outcome:
    from remotemod.codegen.render import render_plan  # needs jinja2

    plan = plan_stub(interface, form=options.form, device_moves=options.device_moves, source=target)
    text = render_plan(plan)
    if path is not None and current(path) == text:  # it was checked when it was written
        return Outcome(target, "unchanged", path, text)
    check_for_file(plan, text)
    if path is None:
        return Outcome(target, "unchanged", None, text)
    diff = difference(path, text)
    status: Status
    if options.write:
        status = "written" if write_if_changed(path, text) else "unchanged"
    else:
        status = "unchanged" if not diff else "missing" if current(path) is None else "drifted"
    return Outcome(target, status, path, text, diff)


def regenerating_command(targets: Iterable[str], output: object, flags: Sequence[str] = ()) -> str:
    """The command that brings the files of these targets up to date."""
    return shlex.join(["remotemod", "gen", *dict.fromkeys(targets), "-o", str(output), *flags])
