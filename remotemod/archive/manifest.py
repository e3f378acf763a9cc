"""The manifest of an archive: its remote submodules and their interfaces, as plain data that nothing executes."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from remotemod.errors import ArchiveError, InterfaceMismatch
from remotemod.stub.versions import STUB_ABI
from remotemod.version import VERSION

__all__ = [
    "MANIFEST",
    "Manifest",
    "SavedInterface",
    "SavedMethod",
    "SavedSubmodule",
    "check",
    "read_manifest",
]

FORMAT = 1
"""The format's number, which rises when an older remotemod cannot read the manifest."""

MANIFEST = "remotemod/manifest.json"
"""The extra file that holds it; the stubs' sources stand beside it."""


@dataclass(frozen=True)
class SavedMethod:
    """One method as its stub declares it.

    ``arguments`` and ``result`` are its schema; ``keywords`` has for each argument its name where it travels by
    name, else "".
    """

    name: str
    arguments: str
    result: str
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class SavedInterface:
    """An interface of remote submodules.

    ``stub`` is the extra file with its stub's source, for reading. ``classes`` has the module and the qualified name
    of each class that the methods' schemas name, ``fields`` the fields of those that are named tuples.
    """

    digest: str
    source: str
    stub: str
    methods: tuple[SavedMethod, ...]
    classes: Mapping[str, tuple[str, str]]
    fields: Mapping[str, str]


@dataclass(frozen=True)
class SavedSubmodule:
    """A remote submodule of a saved model.

    Attributes:
        name: the name by which it is looked up on a cluster.
        submodules: its paths in the model ("" is the model itself).
        digest: the digest of its interface.
        source: the interface, as ``module:qualname``.
        worker: its owner when the model was saved.
        device: its device there.
        methods: the names of its methods.
        named: whether its user chose the name; others are found while their process runs.
    """

    name: str
    submodules: tuple[str, ...]
    digest: str
    source: str
    worker: str
    device: str
    methods: tuple[str, ...]
    named: bool


@dataclass(frozen=True)
class Manifest:
    """The whole manifest."""

    parts: tuple[SavedSubmodule, ...] = ()
    interfaces: tuple[SavedInterface, ...] = ()
    abi: int = STUB_ABI
    version: str = VERSION
    format: int = FORMAT

    def text(self) -> str:
        """The text that is saved."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def read(text: str | bytes) -> Manifest:
        """The manifest in a text of :meth:`text`.

        Raises:
            InterfaceMismatch: another version of remotemod wrote it, which this one does not understand.
            ArchiveError: the text is no manifest.
        """
        try:
            raw = json.loads(text)
            check(raw["format"], raw["abi"], str(raw["version"]))
            parts = [
                {**p, "submodules": tuple(p["submodules"]), "methods": tuple(p["methods"])}
                for p in raw["parts"]
            ]
            interfaces = tuple(map(_interface, raw["interfaces"]))
            return Manifest(
                tuple(SavedSubmodule(**p) for p in parts), interfaces, raw["abi"], raw["version"]
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArchiveError(
                f"what the archive says of its remote parts ({MANIFEST}) is damaged: {error!r}; export the model again"
            ) from error


def check(form: int, abi: int, version: str) -> None:
    """Raise InterfaceMismatch where this remotemod does not understand an archive."""
    if form != FORMAT:
        raise InterfaceMismatch(
            f"the archive was exported by remotemod {version} in format {form}, and this remotemod ({VERSION}) reads "
            f"format {FORMAT}; {_hint(form > FORMAT)}"
        )
    if abi != STUB_ABI:
        raise InterfaceMismatch(
            f"the archive was exported by remotemod {version} for stub ABI {abi}, and this remotemod ({VERSION}) runs "
            f"ABI {STUB_ABI}; {_hint(abi > STUB_ABI)}"
        )


def _hint(newer: bool) -> str:
    if newer:
        return "upgrade remotemod here, or export the model again with this version"
    return "export the model again (rm.export)"


def _interface(raw: dict[str, Any]) -> SavedInterface:
    if not re.fullmatch(r"[0-9a-f]{16}", raw["digest"]):
        raise ValueError(f"{raw['digest']!r} is no digest")
    methods = tuple(
        SavedMethod(m["name"], m["arguments"], m["result"], tuple(m["keywords"]))
        for m in raw["methods"]
    )
    classes = {str(name): (str(m), str(q)) for name, (m, q) in raw["classes"].items()}
    fields = {str(name): str(text) for name, text in raw["fields"].items()}
    return SavedInterface(raw["digest"], raw["source"], raw["stub"], methods, classes, fields)


def read_manifest(file: str | os.PathLike[str] | IO[bytes]) -> Manifest | None:
    """The manifest of an archive; None where it has none.

    Args:
        file: a path, or a file that can seek; it is read from its end and left where it was.

    Raises:
        OSError: the file cannot be opened.
        ArchiveError: it is no archive, or a damaged one.
        InterfaceMismatch: as in :meth:`Manifest.read`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            ending = f"/extra/{MANIFEST}"
            paths = [
                name
                for name in archive.namelist()
                if name.endswith(ending) and name.count("/") == 3
            ]
            text = archive.read(paths[0]) if paths else None
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ArchiveError(f"it is no TorchScript archive, or not a whole one ({error})") from error
    return None if text is None else Manifest.read(text)
