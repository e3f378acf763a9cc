"""Find what a Python lacks to run remotemod and its GPU tests, and the wheels in a folder that bring it.

Printed are the wheels to install, one a line. torch is never among them: it is what is there already.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.tags import Tag, sys_tags
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
except ImportError:  # a bare environment has pip's own copy
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
    from pip._vendor.packaging.tags import Tag, sys_tags
    from pip._vendor.packaging.utils import (
        InvalidWheelFilename,
        canonicalize_name,
        parse_wheel_filename,
    )
try:
    import tomllib
except ImportError:  # before Python 3.11
    from pip._vendor import tomli as tomllib

__all__ = ["ROOT", "Need", "Wheel", "closure", "requirements", "wheels_in"]

ROOT = Path(__file__).resolve().parent.parent
_TESTS = ("pytest", "hypothesis")
_NEVER = ("torch",)


class Wheel(NamedTuple):
    """A wheel in a folder."""

    path: Path
    version: Any
    tags: frozenset[Any]

    @property
    def requires(self) -> list[str]:
        """What its metadata says that it needs."""
        with zipfile.ZipFile(self.path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            headers = HeaderParser().parsestr(archive.read(name).decode())
        return headers.get_all("Requires-Dist") or []


class Need(NamedTuple):
    """A requirement and who has it."""

    requirement: Requirement
    by: str

    @property
    def wanted(self) -> str:
        """Name and versions; the marker has been decided by whoever needs it."""
        return str(self.requirement).partition(";")[0].strip()

    def __str__(self) -> str:
        return f"{self.wanted} (for {self.by})"


def requirements() -> list[Need]:
    """What building, running and testing remotemod takes, torch left out, as pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needs = [Need(Requirement(text), "remotemod") for text in project["project"]["dependencies"]]
    needs += [
        Need(requirement, "its tests")
        for text in project["project"]["optional-dependencies"]["dev"]
        if (requirement := Requirement(text)).name in _TESTS
    ]
    needs += [Need(Requirement(text), "its build") for text in project["build-system"]["requires"]]
    return [need for need in needs if need.requirement.name not in _NEVER]


def wheels_in(folder: Path, tags: Iterable[Tag]) -> dict[str, list[Wheel]]:
    """The wheels of a folder that fit, by name, the best one first."""
    rank = {tag: number for number, tag in reversed(list(enumerate(tags)))}
    found: dict[str, list[Wheel]] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _, own = parse_wheel_filename(path.name)
        except InvalidWheelFilename as error:
            raise SystemExit(f"{path} is no wheel by its name: {error}") from None
        if not own.isdisjoint(rank):
            found.setdefault(name, []).append(Wheel(path, version, own))
    for each in found.values():
        each.sort(key=lambda wheel: min(rank[t] for t in wheel.tags if t in rank))
        each.sort(key=lambda wheel: wheel.version, reverse=True)
    return found


def closure(
    needs: Sequence[Need],
    wheels: Mapping[str, Sequence[Wheel]],
    environment: Mapping[str, str],
    installed: Callable[[str], tuple[str, list[str]] | None],
) -> tuple[list[Wheel], list[Need]]:
    """The wheels that bring what is needed and not installed, with all that they need, and what none brings.

    Something installed counts where all that it needs is there too; else a wheel takes its place.

    Args:
        needs: what is needed.
        wheels: what there is, as :func:`wheels_in` finds it.
        environment: what decides about markers; names are those of packaging.
        installed: the version that is there already, and what it requires; None without one.
    """
    taken: dict[str, Wheel] = {}
    absent: dict[str, Need] = {}
    left = list(needs)
    for need in left:  # grows while it is walked
        requirement = need.requirement
        name = canonicalize_name(requirement.name)
        lacking = _lacking(need, environment, installed, set())
        if lacking is None:
            continue
        if name in _NEVER:
            raise SystemExit(f"{need} is not to be installed, and is not there as it has to be")
        fit = [w for w in wheels.get(name, ()) if requirement.specifier.contains(w.version)]
        if not fit:
            absent[str(lacking.requirement.name)] = lacking
        elif name not in taken:
            wheel = taken[name] = fit[0]
            left += _own_needs(wheel.requires, name, requirement, environment)
    return list(taken.values()), list(absent.values())


def _lacking(
    need: Need,
    environment: Mapping[str, str],
    installed: Callable[[str], tuple[str, list[str]] | None],
    seen: set[str],
) -> Need | None:
    """What is not installed of a need: itself, or something that it needs in turn; None if all is there."""
    name = canonicalize_name(need.requirement.name)
    there = installed(name)
    if there is None or not need.requirement.specifier.contains(there[0], prereleases=True):
        return need
    if name in seen or name in _NEVER:
        return None
    seen.add(name)
    own = _own_needs(there[1], name, need.requirement, environment)
    found = (_lacking(each, environment, installed, seen) for each in own)
    return next((each for each in found if each is not None), None)


def _own_needs(
    requires: Iterable[str], name: str, requirement: Requirement, environment: Mapping[str, str]
) -> Iterable[Need]:
    for text in requires:
        try:
            own = Requirement(text)
        except InvalidRequirement as error:
            raise SystemExit(f"{name} requires {text!r}: {error}") from None
        extras = itertools.chain([""], requirement.extras)
        if own.marker is None or any(
            own.marker.evaluate({**environment, "extra": extra}) for extra in extras
        ):
            yield Need(own, name)


def _installed(name: str) -> tuple[str, list[str]] | None:
    try:
        return metadata.version(name), metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Print the wheels to install, or say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder to look in")
    folder = parser.parse_args().wheels
    if _installed("torch") is None:
        raise SystemExit(f"{sys.executable} has no torch; name the Python that has it (--python)")
    wheels = wheels_in(folder, sys_tags())
    found, absent = closure(requirements(), wheels, {}, _installed)
    if absent:
        version = ".".join(map(str, sys.version_info[:2]))
        raise SystemExit(
            f"{sys.executable} lacks {', '.join(map(str, absent))}, and {folder} has no wheel that fits; on a machine "
            f"with a registry run scripts/fetch_wheels.py --python {version}, and carry its folder here (--wheels)"
        )
    for wheel in found:
        print(wheel.path.resolve())


if __name__ == "__main__":
    main()
