"""From targets to stub files: locate, read, render, check, write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remotemod.errors import InterfaceError
from remotemod.interface.model import Interface
from remotemod.stubs.declaration import Form

__all__ = ["Outcome", "Status", "generate", "mending_command"]

Status = Literal["written", "unchanged", "drifted", "missing", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What came of one interface.

    Attributes:
        target: the ``TARGET`` that generates it.
        status: written or unchanged; drifted or missing where nothing may be written; failed.
        path: the stub's file; None where there is none.
        text: the stub; empty where it failed.
        diff: what changes in the file, as a unified diff.
        error: why it failed.
    """

    target: str
    status: Status
    path: Path | None = None
    text: str = ""
    diff: str = ""
    error: InterfaceError | None = None

    @property
    def ok(self) -> bool:
        """Whether the file is now what it should be."""
        return self.status in ("written", "unchanged")


def generate(
    targets: str | object | Sequence[object],
    output: str | os.PathLike[str] | None,
    *,
    form: Form | None = None,
    device_moves: bool = True,
    write: bool = True,
) -> list[Outcome]:
    """Generates stubs for all interfaces that the targets name.

    Args:
        targets: one or several: ``"pkg.mod:Name"``, ``"path/to/file.py:Name"``, a module or file alone
            (all interfaces and module classes in it), or live classes.
        output: the folder for the stubs; None to render alone.
        form: ``"eager"`` or ``"scripted"``; by default scripted for what TorchScript vouches for.
        device_moves: whether the stubs move tensors to the module's device and back.
        write: False to compare with the files and leave them as they are.

    Returns:
        One outcome an interface, in the targets' order. An interface that fails does not stop the others.
    """
    if isinstance(targets, str) or not isinstance(targets, Iterable):
        targets = [targets]
    outcomes: list[Outcome] = []
    found: list[tuple[str, Interface]] = []
    for target in targets:
        try:
            found += _read(target)
        except InterfaceError as error:
            outcomes.append(Outcome(str(target), "failed", error=error))
    from remotemod.interface.naming import file_names

    names = file_names([interface for _, interface in found])
    folder = None if output is None else Path(output)
    for target, interface in found:
        name = names[interface.module, interface.qualname]
        path = None if folder is None else folder / name
        outcomes.append(_generate(target, interface, path, form, device_moves, write))
    return outcomes


def _read(target: object) -> list[tuple[str, Interface]]:
    from remotemod.interface.read import read_interfaces
    from remotemod.stubs.render import default_source

    found = []
    for interface in read_interfaces(target):
        name = default_source(interface)
        if isinstance(target, str):
            base = target.partition(":")[0] if not target.endswith(":") else target
            name = f"{base}:{interface.qualname}"
        found.append((name, interface))
    if not found:
        raise InterfaceError(
            f"there is no interface and no module class with a forward in {target}",
            how="name a class (TARGET:Name) to see why it is none",
        )
    return found


def _generate(
    target: str,
    interface: Interface,
    path: Path | None,
    form: Form | None,
    device_moves: bool,
    write: bool,
) -> Outcome:
    from remotemod.stubs.check import check_for_file
    from remotemod.stubs.plan import plan_stub
    from remotemod.stubs.render import render_plan
    from remotemod.stubs.write import current, difference, write_if_changed
    from remotemod.version import VERSION

    try:
        plan = plan_stub(
            interface,
            source=target,
            version=VERSION,
            form=form or ("scripted" if interface.scriptable else "eager"),
            device_moves=device_moves,
        )
        text = render_plan(plan)
        check_for_file(plan, text)
    except InterfaceError as error:
        return Outcome(target, "failed", path, error=error)
    if path is None:
        return Outcome(target, "unchanged", None, text)
    diff = difference(path, text)
    if write:
        status: Status = "written" if write_if_changed(path, text) else "unchanged"
    else:
        status = "unchanged" if not diff else "missing" if current(path) is None else "drifted"
    return Outcome(target, status, path, text, diff)


def mending_command(outcomes: Iterable[Outcome], output: object, flags: Sequence[str] = ()) -> str:
    """The command that brings the files of these outcomes up to date."""
    import shlex

    targets = dict.fromkeys(o.target for o in outcomes if not o.ok and o.error is None)
    return shlex.join(["remotemod", "gen", *targets, "-o", str(output), *flags])
