"""Migrate files and folders: find, read, rewrite, and write where that is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.migrate.ancestor import MENTION
from remotemod.migrate.files import decode, find_files, read, replace
from remotemod.migrate.model import Outcome

__all__ = ["Progress", "migrate"]

Progress = Callable[[int, int, str], None]
"""Called with how many files are done, how many there are, and the next one's name."""


def migrate(
    paths: Iterable[str | Path], *, write: bool = False, progress: Progress | None = None
) -> list[Outcome]:
    """Move Python files from torch's RemoteModule to ours; one outcome for each file.

    What fails leaves the other files alone. No code of the files runs.

    Args:
        paths: files, and folders that are searched for Python files. Of those in folders, only what
            mentions remote modules is parsed.
        write: replace the files; otherwise only the diffs are made.
        progress: told of each file.
    """
    outcomes: list[Outcome] = []
    files: dict[Path, bool] = {}
    for path in map(Path, paths):
        for found in find_files(path):
            if isinstance(found, InterfaceError):
                outcomes.append(Outcome(path, "failed", error=found))
            else:
                files[found] = files.get(found, False) or found == path
    for done, (file, named) in enumerate(files.items()):
        if progress is not None:
            progress(done, len(files), str(file))
        try:
            outcomes.append(_migrate(file, write, named))
        except InterfaceError as error:
            outcomes.append(Outcome(file, "failed", error=error))
    return outcomes


def _migrate(path: Path, write: bool, named: bool) -> Outcome:
    data = read(path)
    if not named and not MENTION.search(data):
        return Outcome(path, "unchanged")
    # libcst takes a while to load, and most files do without.
    from remotemod.migrate.rewrite import migrate_text

    text, encoding = decode(data, path)
    migrated = migrate_text(text, str(path))
    if migrated.text == text:
        return Outcome(path, "unchanged", remarks=migrated.remarks)
    diff = _difference(path, text, migrated.text)
    if write:
        replace(path, migrated.text.encode(encoding))
    return Outcome(path, "changed", diff, migrated.remarks)


def _difference(path: Path, old: str, new: str) -> str:
    """A unified diff that ``patch -p0`` takes, newlines as they are in the file."""
    lines = difflib.unified_diff(_lines(old), _lines(new), str(path), str(path))
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    """The lines with their ends; unlike ``splitlines`` it cuts at newlines alone."""
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])
