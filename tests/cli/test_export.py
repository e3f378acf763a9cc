"""``remotemod export``: a factory's model as an archive, its parts as a table, and errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import remotemod as rm
from remotemod.cli.app import app
from remotemod.rpc.cluster import _OPEN

SOURCE = """
import remotemod as rm
from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid


def make():
    return Hybrid(rm.RemoteModule("ps1/cpu", Doubler, interface=DoublerInterface, name="part"))


def unnamed():
    return Hybrid(rm.RemoteModule("ps0/cpu", Doubler, interface=DoublerInterface))


def faceless():
    return Hybrid(rm.RemoteModule("ps0/cpu", Doubler))


def nothing():
    return 3


number = 3
"""


@pytest.fixture
def exportable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "exportable.py").write_text(SOURCE)
    yield "exportable"
    sys.modules.pop("exportable", None)


def invoke(*args: str):
    return CliRunner().invoke(app, ["export", *args])


LAUNCH = ("--workers", "ps0, ps1", "--backend", "inproc")


def test_parts_are_written_and_shown(exportable: str) -> None:
    """The table says where each part is and by what it is found; the file loads."""
    done = invoke(f"{exportable}:make", "-o", "model.pt", *LAUNCH)
    assert done.exit_code == 0, done.output
    heading, row, last = done.stdout.splitlines()
    assert heading.split() == ["submodule", "name", "worker", "interface", "digest"]
    assert row.split()[:4] == [
        "remote",
        "part",
        "ps1/cpu",
        "remotemod.testing.scripts:DoublerInterface",
    ]
    assert last == "wrote model.pt: 1 remote part"
    with rm.launch(workers=["other"], backend="inproc"):
        with pytest.raises(rm.PlacementError, match="'part'"):
            rm.load("model.pt")


def test_a_file_may_be_named(exportable: str) -> None:
    """As for the other commands; a name that nobody chose is marked."""
    done = invoke("exportable.py:unnamed", "-o", "model.pt", *LAUNCH)
    assert done.exit_code == 0, done.output
    assert "(while its process runs)" in done.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("exportable", "names no factory"),
        ("exportable:missing", "exportable has no 'missing'"),
        ("exportable:number", "is a int; name a function"),
        ("exportable:nothing", "returned a int; it must return the model"),
        ("exportable:faceless", "submodule 'remote'"),
        ("nowhere_at_all:make", "there is no module 'nowhere_at_all'"),
        ("nowhere.py:make", "there is no file nowhere.py"),
    ],
)
def test_mistakes_are_explained(exportable: str, target: str, message: str) -> None:
    """One line that says what is wrong; exit status 1 and no file."""
    done = invoke(target, "-o", "model.pt", *LAUNCH)
    assert done.exit_code == 1
    assert message in done.stderr
    assert not Path("model.pt").exists()


def test_without_workers_the_factory_needs_a_cluster(
    exportable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says how to open one; a backend alone launches nothing."""
    monkeypatch.setattr(_OPEN, "value", [])  # other tests have left theirs open
    done = invoke(f"{exportable}:make", "-o", "model.pt")
    assert done.exit_code == 1
    assert "there is no cluster" in done.stderr
    assert f"remotemod export {exportable}:make --workers" in done.stderr
    done = invoke(f"{exportable}:make", "-o", "model.pt", "--backend", "inproc")
    assert done.exit_code == 2
    assert "--workers" in done.stderr
