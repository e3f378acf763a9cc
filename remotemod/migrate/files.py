"""Find the files to migrate, and read and replace them without touching encoding or newlines."""

from __future__ import annotations

import io
import os
import tokenize
from collections.abc import Iterator
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.files import replace_file

__all__ = ["decode", "find_files", "read", "replace"]

_SKIPPED = frozenset({"__pycache__", "node_modules"})
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")


def find_files(path: Path) -> Iterator[Path | InterfaceError]:
    """The Python files below a folder, by path; a file is itself, whatever its name.

    Hidden folders, virtual environments, ``__pycache__`` and ``node_modules`` are left out. What cannot be
    found or listed gives an error instead.
    """
    if not path.is_dir():
        how = "give Python files, or folders that hold some"
        missing = InterfaceError("there is no such file or folder", how=how, file=str(path))
        yield path if path.exists() else missing
        return
    refused: list[OSError] = []
    for here, folders, files in os.walk(path, onerror=refused.append):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(here, name)))
        yield from (Path(here, name) for name in sorted(files) if name.endswith((".py", ".pyi")))
    for error in refused:
        yield _failure("list this folder", error, str(error.filename))


def _is_skipped(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in _SKIPPED:
        return True
    return any((folder / mark).exists() for mark in _ENVIRONMENT)


def _failure(what: str, error: OSError, file: str) -> InterfaceError:
    return InterfaceError(
        f"cannot {what}: {error.strerror}", how="check its permissions", file=file
    )


def read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InterfaceError: they cannot be had.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _failure("read this file", error, str(path)) from None


def decode(data: bytes, path: Path) -> tuple[str, str]:
    """The text of a Python file as it is, and its encoding.

    Raises:
        InterfaceError: the bytes are no text in the encoding that they declare.
    """
    how = "save it as UTF-8, or declare its encoding in the first line"
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), encoding
    except SyntaxError as error:
        what = f"has no readable encoding: {error.msg}"
        raise InterfaceError(what, how=how, file=str(path), line=1) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not {error.encoding} as it says: {error.reason}"
        raise InterfaceError(what, how=how, file=str(path), line=line) from None


def replace(path: Path, data: bytes) -> None:
    """Replace a file in one step, permissions kept; a link keeps pointing to it.

    Raises:
        InterfaceError: it cannot be written; the old file is as it was.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise _failure("write this file", error, str(path)) from None
