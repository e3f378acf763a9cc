"""``remotemod migrate``: diffs, writing, remarks, messages and exit codes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from remotemod.cli.app import app

OLD = "from torch.distributed.nn import RemoteModule\n"
NEW = "from remotemod import RemoteModule\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one file to migrate and one to leave."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "model.py").write_text(OLD + "raise RuntimeError('user code ran')\n")
    (tmp_path / "src" / "other.py").write_text("x = 1\n")
    return tmp_path


def cli(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["migrate", *arguments])


@pytest.mark.parametrize("flags", [[], ["--diff"]])
def test_the_diff_comes_first(project: Path, flags: list[str]) -> None:
    """By default nothing is written; the last line says how many files would change and what to do."""
    done = cli("src", *flags)
    assert done.exit_code == 0, done.output
    assert f"-{OLD}+{NEW}" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 of 2 files would change; run again with --write"
    assert (project / "src" / "model.py").read_text().startswith(OLD)


def test_write_rewrites_once(project: Path) -> None:
    """The first run writes, the second finds nothing to do; both succeed."""
    first = cli("src", "--write")
    assert first.exit_code == 0, first.output
    assert "rewritten: src/model.py" in first.stdout
    assert "1 of 2 files rewritten" in first.stdout
    assert (project / "src" / "model.py").read_text().startswith(NEW)
    second = cli("src", "--write")
    assert second.exit_code == 0
    assert second.stdout.splitlines() == ["0 of 2 files rewritten"]
    assert cli("src").stdout.splitlines() == ["0 of 2 files would change"]


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
def test_patch_takes_the_diff(project: Path) -> None:
    """What is printed can be applied by other tools, CRLF files included."""
    path = project / "src" / "dos.py"
    path.write_bytes(OLD.replace("\n", "\r\n").encode() + b"x = '[bold]'")
    shown = subprocess.run(
        [sys.executable, "-m", "remotemod", "migrate", "src"], capture_output=True, timeout=60
    )
    subprocess.run(
        ["patch", "-p0", "--binary"], input=shown.stdout, check=True, capture_output=True
    )
    assert path.read_bytes() == NEW.replace("\n", "\r\n").encode() + b"x = '[bold]'"
    assert cli("src").stdout.splitlines() == ["0 of 3 files would change"]


def test_remarks_name_the_place(project: Path) -> None:
    """What needs a person's eye goes to stderr with file and line, and is no failure."""
    (project / "src" / "model.py").write_text(OLD + "\nprint(m.generated_methods)\n")
    done = cli("src")
    assert done.exit_code == 0
    assert "remark: src/model.py:3: `.generated_methods`" in done.stderr
    assert "  hint: " in done.stderr
    assert "remark" not in done.stdout


def test_a_broken_file_fails_and_the_others_are_done(project: Path) -> None:
    """Exit code 2, one message with file, line and what to do, and the rest is written."""
    (project / "src" / "broken.py").write_text(OLD + "def f(:\n")
    done = cli("src", "nowhere", "--write")
    assert done.exit_code == 2
    assert "error: src/broken.py:2: cannot be parsed as Python" in done.stderr
    assert "error: nowhere: there is no such file or folder\n  hint: " in done.stderr
    assert "1 of 4 files rewritten, 2 failed" in done.stdout
    assert (project / "src" / "model.py").read_text().startswith(NEW)


def test_a_path_is_needed(project: Path) -> None:
    """Without a path the command says so and exits 2."""
    done = cli()
    assert done.exit_code == 2
    assert "PATH" in done.stderr
