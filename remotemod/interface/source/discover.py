"""List the modules of a whole package or folder, running none of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.interface.locate import Location, locate
from remotemod.interface.source.file import Source
from remotemod.interface.source.program import Program

__all__ = ["STUB_HEADER", "Walked", "walk_package"]

STUB_HEADER = re.compile(
    r"# @?[gG]enerated by remotemod \S+ from (?P<source>.+?)(?:\. Do not edit;|; do not edit\.)\n"
)
"""The first line of a generated stub, of this stub ABI or an older one."""


_CLASS = re.compile(r"^\s*class\s", re.MULTILINE)


@dataclass(eq=False)
class Walked:
    """One module below a package; its file is read when it is asked about, by the program that reads its classes.

    Attributes:
        target: the target that names it alone.
        location: where it is.
        program: all files of the walk.
    """

    target: str
    location: Location
    program: Program

    @cached_property
    def skipped(self) -> str:
        """Why it is left out: it is no Python of today, or cannot be read. Empty for a module that can be."""
        try:
            if not self.empty:
                self._source.names  # noqa: B018 - parses
        except InterfaceError as error:
            line = f" (line {error.line})" if error.line else ""
            return f"{error.what}{line}"
        return ""

    @cached_property
    def empty(self) -> bool:
        """Whether it has no class, so that there is nothing to parse."""
        return not _CLASS.search(self._source.text)

    @property
    def _source(self) -> Source:
        return self.program.add(self.location.module, self.location.file)


def walk_package(target: str) -> list[Walked]:
    """All modules of a package (``pkg``, ``pkg.sub``) or folder, in the order of their paths.

    A plain module or file gives itself. Files that cannot be read as Python of this age, such as
    templates and old Python 2, are listed with the reason. Stubs of ours, which may lie in the package itself, are
    passed over.

    Raises:
        InterfaceError: the target names no module.
    """
    folder = Path(target)
    if not (folder.is_dir() and ("/" in target or os.sep in target or target in (".", ".."))):
        location = locate(target)
        if location.file.stem != "__init__" or location.qualname is not None:
            return [Walked(target, location, Program((location.root,)))]
        folder = location.file.parent
        package: Location | None = location
    else:
        package = locate(target) if (folder / "__init__.py").is_file() else None
    found = [_place(file, folder, package) for file in _files(folder) if not _is_stub(file)]
    program = Program((found[0][1].root,)) if found else Program()
    return [Walked(name, location, program) for name, location in found]


def _is_stub(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return STUB_HEADER.match(lines.readline()) is not None


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        yield from (Path(here, name) for name in sorted(files) if name.endswith(".py"))


def _place(file: Path, folder: Path, package: Location | None) -> tuple[str, Location]:
    """The target that names a file, and its location: below the package's, or the file's own."""
    parts = list(file.relative_to(folder).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    named = all(part.isidentifier() for part in parts)
    whole = all((above / "__init__.py").is_file() for above in _between(file, folder))
    if package is not None and named and whole:
        module = ".".join([package.module, *parts])
        return module, Location(file, module, None, package.root)
    return str(file), locate(str(file))


def _between(file: Path, folder: Path) -> list[Path]:
    return [above for above in file.parents if above.is_relative_to(folder)]
