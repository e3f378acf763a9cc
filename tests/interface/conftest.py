"""Fixtures that write a module to disk and read it in both ways."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remotemod.interface.model import Interface
from remotemod.interface.read import read_interface

_count = itertools.count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write modules below a fresh package; gives the package's name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_files(**files: str) -> str:
        package = f"case{next(_count)}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text(textwrap.dedent(files.pop("init", "")))
        for name, text in files.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        return package

    yield write_files
    for name in set(sys.modules) - before:
        if name.startswith("case"):
            del sys.modules[name]


@pytest.fixture
def agree(write: Callable[..., str]) -> Callable[..., Interface]:
    """Read class ``name`` of module ``m`` from source and live; they must be equal."""

    def read_both(text: str, name: str = "M", **others: str) -> Interface:
        package = write(m=text, **others)
        static = read_interface(f"{package}.m:{name}")
        live: object = importlib.import_module(f"{package}.m")
        for part in name.split("."):
            live = getattr(live, part)
        lively = read_interface(live)
        assert static == lively
        assert [m.doc for m in static.methods] == [m.doc for m in lively.methods]
        assert static.digest == lively.digest
        assert static.line == lively.line
        return static

    return read_both
