"""The golden cases: where they are, whether they are to be written anew, and how mypy is run on stubs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"
REPOSITORY = GOLDEN.parent.parent

Run = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden folder, with its cases importable by their short names."""
    monkeypatch.chdir(GOLDEN / "cases")
    monkeypatch.syspath_prepend(str(GOLDEN / "cases"))
    return GOLDEN


@pytest.fixture(scope="session")
def strict_mypy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs ``mypy --strict`` on a folder; what it knows of torch is kept for the next run and the next session."""
    kept = getattr(request.config, "cache", None)
    cache = kept.mkdir("mypy") if kept else tmp_path_factory.mktemp("mypy")
    options = ["--strict", "--follow-imports=silent", "--explicit-package-bases", "--config-file="]

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        with open(f"{cache}.lock", "w") as lock:
            fcntl.flock(
                lock, fcntl.LOCK_EX
            )  # another process of these tests would read all of torch as well
            return subprocess.run(
                [sys.executable, "-m", "mypy", *options, f"--cache-dir={cache}", "."],
                cwd=folder,
                env={**os.environ, "MYPYPATH": f"{REPOSITORY}:{GOLDEN / 'cases'}"},
                capture_output=True,
                text=True,
                check=False,
            )

    return run
