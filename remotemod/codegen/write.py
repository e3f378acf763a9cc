"""Puts stubs into files: only when they differ, and never half of one."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from pathlib import Path

__all__ = ["current", "difference", "write_if_changed"]


def write_if_changed(path: Path, text: str) -> bool:
    """Writes ``text`` unless the file holds it already; whether it wrote.

    The file is replaced in one step: a reader sees the old stub or the new one.
    """
    if current(path) == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return True


def difference(path: Path, text: str) -> str:
    """What would change in the file, as a unified diff; empty where nothing would."""
    old = current(path)
    if old == text:
        return ""
    lines = difflib.unified_diff(
        (old or "").splitlines(keepends=True),
        text.splitlines(keepends=True),
        str(path) if old is not None else "/dev/null",
        str(path),
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def current(path: Path) -> str | None:
    """The file's text; None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
