"""Try the wheel on several versions of torch and Python, and write docs/compatibility.md from what was seen.

Each version of torch gets an environment of its own, made with the Python that runs this (or ``--python``) and removed
afterwards, because each takes several GB::

    python scripts/matrix.py 2.10.0 2.15.0           # one after the other
    python scripts/matrix.py --env DIR               # an environment that has torch and pytest already
    python scripts/matrix.py 2.13.0 --lowest         # with the oldest dependencies that pyproject.toml allows
    python scripts/matrix.py --render                # only writes the table again

In each run the smoke program and the fast tier of the tests, against the installed wheel: the tests are copied to a
folder without the sources. What was seen is kept in docs/compatibility.json, a record a version of torch and Python.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compatibility_table import RECORDS, read, render, write
from running import environment, run

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT = ("2.10.0", "2.11.0", "2.12.1", "2.13.0", "2.14.1", "2.15.0")
# What the tests import beside remotemod's own dependencies; no pins, because old Pythons have old releases.
TEST_PACKAGES = (
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "attrs",
    "expecttest",
    "mypy",
    "ruff",
    "scikit-learn",
    "matplotlib",
)
# What the tests read beside themselves; the package's sources stay behind.
BESIDE_TESTS = (
    "tests",
    "examples",
    "benchmarks",
    "scripts",
    "docs",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
)
TESTS_SECONDS = 3600


def attempt(
    words: Sequence[object], cwd: Path, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """A process that may fail, which is then what was seen; all that it says is kept, in its order."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def say(text: str) -> None:
    """One line of progress."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        folder,
        CHECKOUT,
        cwd=folder,
    )
    (wheel,) = folder.glob("remotemod-*.whl")
    return wheel


def make_environment(folder: Path, python: str, torch: str, wheel: Path) -> Path:
    """A fresh environment with one version of torch; its Python."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    inside = folder / "bin" / "python"
    packages = [f"torch=={torch}", wheel, *TEST_PACKAGES]
    run(inside, "-m", "pip", "install", "--quiet", *packages, cwd=folder)
    return inside


def lowest() -> list[str]:
    """The oldest versions that the package's dependencies allow, torch's aside."""
    text = (CHECKOUT / "pyproject.toml").read_text()
    found = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    pairs = re.findall(r'"([\w.-]+)>=([\w.]+)"', found[1])
    return [f"{name}=={version}" for name, version in pairs if name != "torch"]


def examine(python: Path, torch: str, folder: Path, *more: str) -> dict[str, Any]:
    """What the smoke program, the tests and the doctor say in an environment."""
    say(f"torch {torch}: smoke program")
    said = folder / "smoke.json"
    smoke = attempt([python, CHECKOUT / "scripts" / "smoke.py", "--json", said], folder)
    print(smoke.stdout, flush=True)
    rows = json.loads(said.read_text()) if said.exists() else {}
    say(f"torch {torch}: fast tier of the tests")
    tests = copy_tests(folder / "tree")
    results = folder / "tests.xml"
    # torch warns of its own on some Pythons; that is told in the table, and fails nothing.
    done = attempt(
        [
            python,
            *("-m", "pytest", "-m", "not slow", "-q", "-p", "no:cacheprovider"),
            *("-n", "auto", "--dist", "loadscope", "--no-loadscope-reorder"),
            # Of the sources, which are not here, and of the page that this run is for.
            *("--ignore=tests/packaging", "--ignore=tests/test_compatibility_page.py"),
            *("--junitxml", results),
            *more,
        ],
        tests,
        TESTS_SECONDS,
    )
    print("\n".join(done.stdout.splitlines()[-40:]), flush=True)
    say(f"torch {torch}: doctor")
    doctor = attempt([python, "-m", "remotemod", "doctor", "--json"], folder)
    try:
        report = json.loads(doctor.stdout[doctor.stdout.index("{") :])
    except ValueError:
        sys.exit(f"remotemod doctor says no JSON:\n{doctor.stdout[-3000:]}")
    return {
        "torch": torch,
        "python": report["python"],
        "build": report["torch"],
        "date": datetime.date.today().isoformat(),
        "smoke": {row["step"]: row["status"] for row in rows.get("steps", [])},
        "smoke_failures": {
            row["step"]: row["detail"].strip().splitlines()[0]
            for row in rows.get("steps", [])
            if row["status"] == "failed"
        },
        **counts(results),
        "torchscript": report["torchscript"],
        "missing": [name["name"] for name in report["names"] if not name["is_here"]],
        "problems": report["problems"],
    }


def copy_tests(folder: Path) -> Path:
    """The tests in a folder without the package's sources, so that they import what is installed."""
    folder.mkdir()
    for name in BESIDE_TESTS:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "out")
            )
        else:
            shutil.copy(source, folder)
    return folder


def counts(results: Path) -> dict[str, Any]:
    """How many tests passed, and the names of those that did not."""
    if not results.exists():
        return {"tests": {"passed": 0, "failed": 0, "skipped": 0}, "failures": ["no test ran"]}
    cases = list(ET.parse(results).getroot().iter("testcase"))
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = [c for c in cases if c.find("skipped") is not None]
    return {
        "tests": {
            "passed": len(cases) - len(failed) - len(skipped),
            "failed": len(failed),
            "skipped": len(skipped),
        },
        "failures": sorted(f"{case.get('classname')}::{case.get('name')}" for case in failed),
    }


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "torch", nargs="*", help=f"versions of torch; by default {', '.join(DEFAULT)}"
    )
    parser.add_argument("--python", default=sys.executable, help="makes the environments")
    parser.add_argument("--env", type=Path, help="use this environment, which has torch and pytest")
    parser.add_argument("--wheel", type=Path, help="use this wheel instead of building one")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="make environments here, and keep them"
    )
    parser.add_argument(
        "--lowest", action="store_true", help="take the oldest dependencies allowed"
    )
    parser.add_argument("--render", action="store_true", help="only write the table again")
    return parser.parse_args()


def main() -> int:
    """Run what was asked for, and return 1 if something failed anywhere."""
    options = parse()
    failed = False
    with tempfile.TemporaryDirectory(prefix="remotemod-matrix-") as scratch:
        wheel = None
        if not options.render:
            wheel = options.wheel.resolve() if options.wheel else build_wheel(Path(scratch))
        versions = [] if options.render else [None] if options.env else options.torch or DEFAULT
        for number, version in enumerate(versions):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            if options.env:
                python = options.env.absolute() / "bin" / "python"
                pip = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall")
                run(*pip, wheel, cwd=folder)
                code = "import importlib.metadata as m; print(m.version('torch').split('+')[0])"
                version = run(python, "-c", code, cwd=folder).stdout.strip()
            else:
                say(f"torch {version}: making an environment (torch is several GB)")
                python = make_environment(
                    (options.keep or folder) / version, options.python, version, wheel
                )
            if options.lowest:
                run(python, "-m", "pip", "install", "--quiet", *lowest(), cwd=folder)
            # Old libraries are deprecated in part by what stands below them.
            quiet = ["-W", "ignore::DeprecationWarning"] if options.lowest else []
            record = {**examine(python, version, folder, *quiet), "lowest": options.lowest}
            failed |= bool(record["failures"] or record["smoke_failures"])
            write([*(r for r in read() if _key(r) != _key(record)), record])
            if not options.env and not options.keep:
                shutil.rmtree(folder)
    render()
    print(f"wrote {RECORDS} and docs/compatibility.md")
    return 1 if failed else 0


def _key(record: dict[str, Any]) -> tuple[str, str, bool]:
    return record["torch"], record["python"], record.get("lowest", False)


if __name__ == "__main__":
    sys.exit(main())
