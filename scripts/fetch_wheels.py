#!/usr/bin/env python3
"""Fetch the wheels that remotemod and its GPU tests need beside torch, for a machine without a registry.

They are of the versions in constraints.txt where these are for that Python, and for the processor that is asked for, whatever
this machine has. What is in the folder already is not fetched again.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from needed import ROOT, closure, requirements, wheels_in

try:
    from packaging.tags import Tag, compatible_tags, cpython_tags
except ImportError:  # a bare environment has pip's own copy
    from pip._vendor.packaging.tags import Tag, compatible_tags, cpython_tags

_OLD = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def platforms(newest: int, machine: str) -> list[str]:
    """The manylinux platforms up to one of glibc 2.``newest``, the newest first."""
    found = []
    for minor in range(newest, 4, -1):
        found.append(f"manylinux_2_{minor}_{machine}")
        if minor in _OLD:
            found.append(f"{_OLD[minor]}_{machine}")
    return found


def tags_of(python: str, on: Sequence[str]) -> list[Tag]:
    """What fits a CPython of a version on these platforms, the best first."""
    version = tuple(map(int, python.split(".")))
    interpreter = f"cp{python.replace('.', '')}"
    own = cpython_tags(version, platforms=on)
    return [*own, *compatible_tags(version, interpreter=interpreter, platforms=on)]


def environment_of(python: str, machine: str) -> dict[str, str]:
    """What markers are decided by on that machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def fetch(folder: Path, python: str, on: Sequence[str], wanted: Sequence[str]) -> None:
    """Have pip download wheels, each without what it needs in turn."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", python]
    for each in on:
        command += ["--platform", each]
    pinned = ["--constraint", str(ROOT / "constraints.txt")]
    if subprocess.run([*command, *pinned, *wanted], check=False).returncode == 0:
        return
    print(
        f"not all pinned versions are for Python {python}: trying the newest that are", flush=True
    )
    if subprocess.run([*command, *wanted], check=False).returncode:
        raise SystemExit(f"pip could not download {', '.join(wanted)} for Python {python}")


def main() -> None:
    """Fetch what is missing, round by round: what a wheel needs is known when it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    own = ".".join(map(str, sys.version_info[:2]))
    parser.add_argument("--python", default=own, help=f"the Python to fetch for ({own}, this one)")
    parser.add_argument("--wheels", type=Path, default=ROOT / "wheels", help="where to (wheels/)")
    parser.add_argument("--machine", default=platform.machine(), help="its processor (x86_64)")
    # torch's own wheels need glibc 2.28, so a machine that has torch has that.
    parser.add_argument("--glibc", default="2.28", help="its glibc, or an older one (2.28)")
    given = parser.parse_args()
    if not re.fullmatch(r"3\.\d+", given.python):
        parser.error(f"--python takes a version like 3.12; got {given.python!r}")
    if not re.fullmatch(r"2\.\d+", given.glibc):
        parser.error(f"--glibc takes a version like 2.28; got {given.glibc!r}")
    on = platforms(int(given.glibc.partition(".")[2]), given.machine)
    tags, environment = tags_of(given.python, on), environment_of(given.python, given.machine)
    given.wheels.mkdir(parents=True, exist_ok=True)
    while True:
        wheels = wheels_in(given.wheels, tags)
        found, absent = closure(requirements(), wheels, environment, lambda name: None)
        if not absent:
            break
        wanted = sorted(need.wanted for need in absent)
        print("fetching", ", ".join(wanted), flush=True)
        fetch(given.wheels, given.python, on, wanted)
    size = sum(wheel.path.stat().st_size for wheel in found)
    print(f"{given.wheels}: {len(found)} wheels for Python {given.python}, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
