"""Lists the modules of a whole package or folder, running none of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.interface.source.locate import locate

__all__ = ["STUB_HEADER", "Walked", "walk_package"]

STUB_HEADER = re.compile(
    r"# @?[gG]enerated by remotemod \S+ from (?P<source>.+?)(?:\. Do not edit;|; do not edit\.)\n"
)
"""The first line of a generated stub, of this stub ABI or an older one."""


@dataclass(frozen=True, slots=True)
class Walked:
    """One module below a package: the target that names it, or why it is left out.

    ``skipped`` is empty for a module that can be read; ``empty`` says that it has no class, and was not parsed.
    """

    target: str
    file: Path
    skipped: str = ""
    empty: bool = False


_CLASS = re.compile(r"^\s*class\s", re.MULTILINE)


def walk_package(target: str) -> list[Walked]:
    """All modules of a package (``pkg``, ``pkg.sub``) or folder, in the order of their paths.

    A plain module or file gives itself. Files that cannot be read as Python of this age, such as
    templates and old Python 2, are listed with the reason. Stubs of ours, which may lie in the package itself, are
    passed over.
    """
    folder = Path(target)
    if not (folder.is_dir() and ("/" in target or os.sep in target or target in (".", ".."))):
        location = locate(target)
        if location.file.stem != "__init__" or location.qualname is not None:
            return [_judge(target, location.file)]
        folder, package = location.file.parent, location.module
    elif (folder / "__init__.py").is_file():
        package = locate(target).module
    else:
        package = ""
    return [_walked(file, folder, package) for file in _files(folder) if not _is_stub(file)]


def _is_stub(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return STUB_HEADER.match(lines.readline()) is not None


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        yield from (Path(here, name) for name in sorted(files) if name.endswith(".py"))


def _walked(file: Path, folder: Path, package: str) -> Walked:
    parts = list(file.relative_to(folder).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    named = all(part.isidentifier() for part in parts)
    whole = all((above / "__init__.py").is_file() for above in _between(file, folder))
    if package and named and whole:
        return _judge(".".join([package, *parts]), file)
    return _judge(str(file), file)


def _between(file: Path, folder: Path) -> list[Path]:
    return [above for above in file.parents if above.is_relative_to(folder)]


def _judge(target: str, file: Path) -> Walked:
    """Cut the file up; what its top level cannot be parsed as is no module to read."""
    from remotemod.interface.source.file import read_source_file

    try:
        source = read_source_file(target, file)
        if not _CLASS.search(source.text):
            return Walked(target, file, empty=True)
        source.names  # noqa: B018 - parses
    except InterfaceError as error:
        line = f" (line {error.line})" if error.line else ""
        return Walked(target, file, f"{error.what}{line}")
    return Walked(target, file)
