"""What carries the GPU tests to a machine without a registry: which wheels are needed, for which machine, and what is said."""

from __future__ import annotations

import importlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.tags import sys_tags

ROOT = Path(__file__).parent.parent
NOTHING: dict[str, tuple[str, list[str]]] = {}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")


@pytest.fixture
def needed() -> Any:
    return importlib.import_module("needed")


@pytest.fixture
def fetch_wheels() -> Any:
    return importlib.import_module("fetch_wheels")


def wheel(folder: Path, name: str, *requires: str, tag: str = "py3-none-any") -> None:
    """A wheel with nothing in it but what it needs."""
    project, version = name.split("-")
    lines = [f"Name: {project}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    with zipfile.ZipFile(folder / f"{name}-{tag}.whl", "w") as archive:
        archive.writestr(f"{name}.dist-info/METADATA", "\n".join(lines))


def found(
    needed: Any, folder: Path, *wants: str, installed: Any = NOTHING, **environment: str
) -> tuple[list[str], list[str]]:
    """The names of the wheels to install, and what is absent."""
    needs = [needed.Need(Requirement(want), "a test") for want in wants]
    wheels = needed.wheels_in(folder, sys_tags())
    taken, absent = needed.closure(needs, wheels, environment, installed.get)
    return [each.path.name.split("-py3")[0] for each in taken], list(map(str, absent))


def test_what_wheels_need_is_found_in_turn(needed: Any, tmp_path: Path) -> None:
    """The newest wheel that fits is taken, with all that it needs, once each."""
    wheel(tmp_path, "a-1.0", "b>=2", "c")
    wheel(tmp_path, "a-3.0")
    wheel(tmp_path, "b-1.0")
    wheel(tmp_path, "b-2.5", "c; extra == 'more'", "d; python_version < '3.0'")
    wheel(tmp_path, "c-1.0", "a")
    assert found(needed, tmp_path, "a<2", "c") == (["a-1.0", "c-1.0", "b-2.5"], [])


def test_markers_are_those_of_the_target(needed: Any, tmp_path: Path) -> None:
    """Which Python a need is for is asked of the machine that is fetched for, and not of this one."""
    wheel(tmp_path, "a-1.0", "old; python_version < '3.12'", "new; python_version >= '3.12'")
    wheel(tmp_path, "new-1.0")
    assert found(needed, tmp_path, "a", python_version="3.12") == (["a-1.0", "new-1.0"], [])
    assert found(needed, tmp_path, "a", python_version="3.11") == (["a-1.0"], ["old (for a)"])


def test_wheels_for_other_machines_do_not_count(needed: Any, tmp_path: Path) -> None:
    """A wheel of another system or Python is not there."""
    wheel(tmp_path, "a-1.0", tag="cp39-cp39-win_amd64")
    assert found(needed, tmp_path, "a") == ([], ["a (for a test)"])


def test_what_is_installed_counts_if_it_is_whole(needed: Any, tmp_path: Path) -> None:
    """An installed distribution that lacks something is replaced by a wheel, and one that is too old."""
    wheel(tmp_path, "a-2.0", "b")
    wheel(tmp_path, "b-2.0")
    whole = {"a": ("2.0", ["b"]), "b": ("1.0", ["a"])}
    assert found(needed, tmp_path, "a", installed=whole) == ([], [])
    assert found(needed, tmp_path, "a", "b>1", installed=whole) == (["b-2.0"], [])
    broken = {"a": ("2.0", ["b"])}
    assert found(needed, tmp_path, "a", installed=broken) == (["a-2.0", "b-2.0"], [])


def test_torch_is_never_installed(needed: Any, tmp_path: Path) -> None:
    """It is what the machine has; a package that would bring another is refused."""
    assert "torch" not in {need.requirement.name for need in needed.requirements()}
    assert {"libcst", "pytest", "setuptools"} <= {n.requirement.name for n in needed.requirements()}
    wheel(tmp_path, "a-1.0", "torch>=2")
    wheel(tmp_path, "torch-2.0")
    with pytest.raises(SystemExit, match="torch"):
        found(needed, tmp_path, "a")


def test_platforms_are_tried_from_the_newest(fetch_wheels: Any) -> None:
    """Each glibc from the machine's on, with the old names where they belong."""
    platforms = fetch_wheels.platforms(28, "x86_64")
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert platforms[-1] == "manylinux1_x86_64"
    at = platforms.index("manylinux_2_17_x86_64")
    assert platforms[at + 1] == "manylinux2014_x86_64"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "tpu"], "--device is cuda, cpu or meta; got 'tpu'"),
        (["--wheels"], "--wheels needs a value"),
        (["--fast"], "unknown option --fast"),
        (["--python", "no-such-python"], "there is no such Python"),
        (["--wheel", "nowhere.whl"], "there is no file nowhere.whl"),
    ],
)
def test_the_script_refuses_what_makes_no_sense(options: list[str], message: str) -> None:
    """A word about what is wrong, and nothing is begun."""
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check.sh", *options], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
