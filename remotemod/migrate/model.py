"""The results of a migration: for a file, for its text, and remarks for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remotemod.errors import InterfaceError

__all__ = ["Migrated", "Outcome", "Remark", "Status"]

Status = Literal["unchanged", "changed", "failed"]


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """A place that a person must look at.

    Attributes:
        line: the 1-based line in the old text.
        what: what is there, and why it is not rewritten.
        how: what to do about it.
    """

    line: int
    what: str
    how: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """The new text of one file; the old one where nothing changes."""

    text: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one path.

    Attributes:
        path: the file, or the path that is none.
        status: changed (written, if asked for), unchanged, or failed.
        diff: what changes, as a unified diff.
        remarks: what a person must look at.
        error: why it failed.
    """

    path: Path
    status: Status
    diff: str = ""
    remarks: tuple[Remark, ...] = ()
    error: InterfaceError | None = None
