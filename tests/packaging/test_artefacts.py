"""Wheel and sdist hold what the tree holds, and the check of that sees what is missing."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from artefacts import description_of, problems, relative_links, source_files
from package import build

from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.slow


def without(archive: Path, name: str, folder: Path) -> Path:
    """A copy of a wheel or sdist in which one file is missing."""
    copy = folder / archive.name
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as old, zipfile.ZipFile(copy, "w") as new:
            for each in old.namelist():
                if each != name:
                    new.writestr(each, old.read(each))
    else:
        with tarfile.open(archive) as old, tarfile.open(copy, "w:gz") as new:
            for member in old.getmembers():
                if not member.name.endswith(f"/{name}"):
                    new.addfile(member, old.extractfile(member))
    return copy


def test_artefacts_hold_what_the_tree_holds(built: tuple[Path, Path]) -> None:
    """Nothing is missing, nothing is orphaned, and no link is relative."""
    assert problems(*built, source_files()) == []


@pytest.mark.parametrize(
    "name",
    [
        "remotemod/handles/tracing/symbolic.py",
        "remotemod/cli/app.py",
        "remotemod/templates/macros.jinja",
        "remotemod/py.typed",
    ],
)
def test_a_file_that_a_wheel_lacks_is_named(
    built: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """A module, one behind a link, a template, the marker of types."""
    sdist, wheel = built
    found = problems(sdist, without(wheel, name, tmp_path), source_files())
    assert found == [f"{wheel.name} lacks {name}"]


@pytest.mark.parametrize("name", ["docs/shm.md", "examples/quickstart.py", "tests/conftest.py"])
def test_a_file_that_an_sdist_lacks_is_named(
    built: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """Docs, examples and tests belong to it."""
    sdist, wheel = built
    found = problems(without(sdist, name, tmp_path), wheel, source_files())
    assert found == [f"{sdist.name} lacks {name}"]


def test_a_module_that_is_gone_from_the_tree_is_named(built: tuple[Path, Path]) -> None:
    """As setuptools would take it along from an old ``build/``."""
    sdist, wheel = built
    files = [name for name in source_files() if name != "remotemod/abi.py"]
    assert problems(sdist, wheel, files) == [
        f"{sdist.name} holds remotemod/abi.py, which is not in the tree",
        f"{wheel.name} holds remotemod/abi.py, which is not in the tree",
    ]


def changed(text: Callable[[str], str], folder: Path) -> Path:
    """A copy of the tree whose pyproject.toml reads otherwise."""
    for name in source_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    project = folder / "pyproject.toml"
    project.write_text(text(project.read_text()))
    return folder


def test_a_package_that_is_left_out_is_named(tmp_path: Path) -> None:
    """The defect of the hand-kept list, made again: a real build without one package."""
    rule = 'include = ["remotemod", "remotemod.*"]'
    tree = changed(
        lambda text: text.replace(rule, f'{rule}\nexclude = ["remotemod.handles.tracing"]'),
        tmp_path / "changed",
    )
    sdist, wheel = build(source_files(), tmp_path, tree)
    found = problems(sdist, wheel, source_files())
    assert f"{wheel.name} lacks remotemod/handles/tracing/__init__.py" in found
    assert all("remotemod/handles/tracing/" in line for line in found)


def test_the_description_is_the_readme_with_its_code(built: tuple[Path, Path]) -> None:
    """Relative links become text that names the file; programs stay as they are."""
    description = description_of(built[1])
    readme = (ROOT / "README.md").read_text()
    assert relative_links(readme)
    assert relative_links(description) == []
    blocks = re.compile(r"```.*?```", re.DOTALL)
    assert blocks.findall(description) == blocks.findall(readme)
    assert "`docs/compiling.md`" in description
