"""The report of an examination, to be printed or written as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["BackendCheck", "Library", "Report", "TorchName"]


@dataclass(frozen=True)
class Library:
    """A package that remotemod uses.

    Attributes:
        name: as it is installed.
        version: None where it is not installed.
        needed: what for; empty where remotemod cannot be without it.
    """

    name: str
    version: str | None
    needed: str = ""


@dataclass(frozen=True)
class TorchName:
    """A private name of torch that remotemod relies on.

    Attributes:
        topic: which part of torch it is of.
        name: its dotted path.
        is_here: whether this torch has it.
        relied_on: the behaviour that is relied on.
        without: what happens where it is missing.
        instead: the public way that is taken where it is missing; empty where something is then off.
    """

    topic: str
    name: str
    is_here: bool
    relied_on: str
    without: str
    instead: str


@dataclass(frozen=True)
class BackendCheck:
    """A backend, tried in a process of its own: a worker, a call, a backward pass.

    Attributes:
        name: the backend.
        works: whether all of it came out right.
        capabilities: what it can do; empty where it does not work.
        launch: seconds until the worker had answered once.
        call: seconds of a small call, the median of some.
        why: the reason where it does not work.
    """

    name: str
    works: bool
    capabilities: tuple[str, ...] = ()
    launch: float | None = None
    call: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Report:
    """The whole examination.

    Attributes:
        remotemod: its version.
        python: the interpreter's version.
        platform: system and processor.
        torch: what torch was built for; None without torch.
        torchscript: None where TorchScript works, else why not.
        accelerators: the devices that torch sees beside the CPU.
        libraries: the packages that are used.
        names: the private names of torch; empty without torch.
        backends: each backend, tried.
    """

    remotemod: str
    python: str
    platform: str
    torch: str | None
    torchscript: str | None
    accelerators: tuple[str, ...]
    libraries: tuple[Library, ...]
    names: tuple[TorchName, ...]
    backends: tuple[BackendCheck, ...]

    @property
    def problems(self) -> list[str]:
        """Messages on what is installed and does not work, each with a hint."""
        problems = [
            f"{library.name} is not installed: pip install {library.name}"
            for library in self.libraries
            if library.version is None and not library.needed
        ]
        problems += [
            f"torch has no {name.name}: {name.without}"
            for name in self.names
            if not name.is_here and not name.instead
        ]
        if self.torch is not None and self.torchscript is not None:
            problems.append(f"TorchScript: {self.torchscript}")
        problems += [
            f"backend '{check.name}': {check.why}" for check in self.backends if not check.works
        ]
        return problems

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**dataclasses.asdict(self), "problems": self.problems}
