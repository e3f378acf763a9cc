"""Hold one source file, and parse it when first asked, once in the whole process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from remotemod.errors import InterfaceError
from remotemod.interface.source.outline import Text
from remotemod.interface.source.syntax import BlockNames, parse_names
from remotemod.process import cached

__all__ = ["Source", "read_source_file"]


@dataclass(eq=False)
class Source:
    """One parsed file."""

    module: str
    file: Path
    text: str

    @cached_property
    def names(self) -> BlockNames:
        """What the module binds; the file is cut up here, once."""
        return _parse(self.text, str(self.file))

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.module if self.file.stem == "__init__" else self.module.rpartition(".")[0]


@cached(maxsize=1024)
def _parse(text: str, file: str) -> BlockNames:
    return parse_names(Text(text, file))


def read_source_file(module: str, file: Path) -> Source:
    """The text of ``file``, known as ``module``."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InterfaceError(
            f"cannot read this file: {error.strerror}", how="check its permissions", file=str(file)
        ) from None
    return Source(module, file, text)
