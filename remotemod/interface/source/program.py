"""Load source files as imports ask for them, each once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.interface.locate import find_module, search_path
from remotemod.interface.source.file import Source, read_source_file

__all__ = ["AS_WRITTEN", "KNOWN_MODULES", "KNOWN_NAMES", "Program"]

AS_WRITTEN = {
    *("abc", "builtins", "collections", "collections.abc", "datetime", "decimal", "enum"),
    *("math", "numbers", "typing", "typing_extensions"),
}
"""Standard modules whose classes carry the very name they are imported by; reading them would be waste."""

KNOWN_NAMES = {"torch.Tensor", "torch.device", "torch.dtype", "torch.jit.interface"}
KNOWN_MODULES = {"torch.nn", "torch.nn.functional", "torch.jit", "torch.futures"}
"""torch's busiest names, spared the reading of its huge ``__init__``."""


@dataclass(eq=False)
class Program:
    """All files read so far, each parsed once, and the path that imports are looked up on.

    Args:
        roots: folders to search before the working folder and ``sys.path``.
    """

    roots: tuple[str, ...] = ()
    _sources: dict[str, Source | None] = field(default_factory=dict)
    _files: dict[str, Path | None] = field(default_factory=dict)
    _following: set[tuple[int, str]] = field(default_factory=set)

    @cached_property
    def _path(self) -> tuple[str, ...]:
        return search_path(*self.roots)

    def add(self, module: str, file: Path) -> Source:
        """Load ``file`` as ``module``.

        Raises:
            InterfaceError: it cannot be read.
        """
        source = self._sources.get(module)
        if source is None or source.file != file:
            source = self._sources[module] = read_source_file(module, file)
        return source

    def source(self, module: str) -> Source | None:
        """The source of an imported module; None where there is none in Python that can be parsed."""
        if module not in self._sources:
            self._sources[module] = self._load(module)
        return self._sources[module]

    def _load(self, module: str) -> Source | None:
        file = self.file(module)
        try:
            source = read_source_file(module, file) if file is not None else None
            return source if source is not None and source.names is not None else None
        except InterfaceError:
            return None  # not ours to complain about: its names stay unexplained

    def file(self, module: str) -> Path | None:
        """The file of a module; None where it has none in Python."""
        if module not in self._files:
            self._files[module] = find_module(module, self._path)
        return self._files[module]

    @cached_property
    def torch_is_absent(self) -> bool:
        """Whether torch is not installed, so that its source explains nothing."""
        return self.file("torch") is None

    @contextmanager
    def once(self, block: object, name: str) -> Iterator[bool]:
        """False while this very name of a block is already being followed: an import cycle, an alias of itself."""
        key = (id(block), name)
        first = key not in self._following
        self._following.add(key)
        try:
            yield first
        finally:
            if first:
                self._following.discard(key)
