"""Put stubs into files: only when they differ, and never half of one."""

from __future__ import annotations

import difflib
from pathlib import Path

from remotemod.files import replace_file

__all__ = ["current", "difference", "write_if_changed"]


def write_if_changed(path: Path, text: str) -> bool:
    """Write ``text`` in one step unless the file holds it already; return whether it wrote."""
    if current(path) == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode(), durable=False)  # it can be generated again
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
