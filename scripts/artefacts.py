"""Compare what was built with what the tree holds: a file that is missing from a wheel or an sdist is an error, and so is one too many."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from email import message_from_bytes
from pathlib import Path, PurePosixPath

__all__ = ["ROOT", "description_of", "problems", "relative_links", "source_files"]

ROOT = Path(__file__).resolve().parent.parent

_LINKED = ("cli/", "templates/")
"""Folders that the package holds by links, and an sdist only there."""
_MADE = ("PKG-INFO", "setup.cfg", "remotemod.egg-info/")
"""What setuptools adds to an sdist."""
_NOT_SOURCES = {"build", "dist", "__pycache__", ".venv", ".git"}


def source_files() -> list[str]:
    """The files that belong to the project: what git tracks or would track; without git, all but leavings."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name]
        return sorted(name for name in names if os.path.lexists(ROOT / name))
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in _NOT_SOURCES and not f.endswith("_cache")]
        found += [(Path(folder) / file).relative_to(ROOT).as_posix() for file in files]
    return sorted(name for name in found if not _is_made(name))


def problems(sdist: Path, wheel: Path, files: Sequence[str]) -> list[str]:
    """What is wrong with an sdist and a wheel that were built of ``files``; empty if nothing is."""
    expected = _installed_names(files)
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    found = [f"{sdist.name} holds a link: {m.name}" for m in members if not m.isfile()]
    held = {str(PurePosixPath(*PurePosixPath(m.name).parts[1:])) for m in members}
    found += _difference(sdist, expected, {name for name in held if not _is_made(name)})

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    found += _difference(wheel, {n for n in expected if n.startswith("remotemod/")}, inside)
    for needed in ("METADATA", "RECORD", "entry_points.txt", "licenses/LICENSE"):
        if not any(name.endswith(f".dist-info/{needed}") for name in names):
            found.append(f"{wheel.name} has no {needed}")
    links = relative_links(description_of(wheel))
    found += [
        f"the description links to {link}, which is nowhere outside the tree" for link in links
    ]
    return found


def description_of(wheel: Path) -> str:
    """The text that a package index shows."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        payload = message_from_bytes(archive.read(name)).get_payload(decode=True)
    return bytes(payload).decode()


def relative_links(text: str) -> list[str]:
    """Targets of Markdown links that depend on where the text stands."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [
        t for t in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"https?://|#|mailto:", t)
    ]


def _installed_names(files: Iterable[str]) -> set[str]:
    """The names that files have in an sdist, where links are folders."""
    links = {f"remotemod/{folder.rstrip('/')}" for folder in _LINKED}
    return {f"remotemod/{n}" if n.startswith(_LINKED) else n for n in files if n not in links}


def _is_made(name: str) -> bool:
    return name.startswith(_MADE)


def _difference(where: Path, expected: set[str], held: set[str]) -> list[str]:
    return [
        *(f"{where.name} lacks {name}" for name in sorted(expected - held)),
        *(
            f"{where.name} holds {name}, which is not in the tree"
            for name in sorted(held - expected)
        ),
    ]


def main(folder: str = "dist") -> int:
    """Check the artefacts in a folder."""
    sdists, wheels = list(Path(folder).glob("*.tar.gz")), list(Path(folder).glob("*.whl"))
    if len(sdists) != 1 or len(wheels) != 1:
        sys.exit(f"{folder} must hold one sdist and one wheel; make package builds them")
    found = problems(sdists[0], wheels[0], source_files())
    print("\n".join(found) or f"{sdists[0].name} and {wheels[0].name} hold what the tree holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
