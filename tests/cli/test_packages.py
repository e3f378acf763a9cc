"""``remotemod gen`` of whole packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = "from torch import Tensor, nn\nclass {0}(nn.Module):\n    def forward(self, x: Tensor) -> Tensor: ...\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of three modules whose ``__init__`` must not run, one of them no Python."""
    pkg = tmp_path / "pkg"
    (pkg / "sub").mkdir(parents=True)
    (pkg / "__init__.py").write_text("raise RuntimeError('user code ran')\n")
    (pkg / "sub" / "__init__.py").touch()
    (pkg / "one.py").write_text(MODULE.format("One"))
    (pkg / "sub" / "two.py").write_text(MODULE.format("Two"))
    (pkg / "template.py").write_text("class {{ name }}:\n    print 'old'\n")
    return tmp_path


def gen(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in ``folder``."""
    command = [sys.executable, "-m", "remotemod", "gen", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_package_is_walked_and_none_of_it_runs(package: Path) -> None:
    """Every module below it is read; what is no Python is skipped with the reason."""
    done = gen(package, "pkg", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (package / "out").iterdir()) == ["remote_one.py", "remote_two.py"]
    assert "skipped: " in done.stdout
    assert "1 skipped, 2 written" in done.stdout


@pytest.mark.slow
def test_check_covers_a_package(package: Path) -> None:
    """A new class is missing, a changed one drifts, and the command regenerates both."""
    gen(package, "pkg", "-o", "out")
    assert gen(package, "pkg", "-o", "out", "--check").returncode == 0
    (package / "pkg" / "one.py").write_text(MODULE.format("One").replace("x:", "y:"))
    (package / "pkg" / "three.py").write_text(MODULE.format("Three"))
    done = gen(package, "pkg", "-o", "out", "--check")
    assert done.returncode == 1
    assert "remotemod gen pkg -o out" in done.stdout
    assert gen(package, "pkg", "-o", "out").returncode == 0
    assert gen(package, "pkg", "-o", "out", "--check").returncode == 0


def test_stubs_may_lie_in_the_package_that_they_are_of(package: Path) -> None:
    """A stub is no module of the user's: the next run writes nothing, and the check passes."""
    out = ("pkg", "-o", "pkg/stubs")
    assert "2 written" in gen(package, *out).stdout
    (package / "pkg" / "stubs" / "__init__.py").touch()
    assert "1 skipped, 2 unchanged" in gen(package, *out).stdout
    assert gen(package, *out, "--check").returncode == 0


@pytest.mark.slow
def test_stale_stubs_are_reported_and_deleted(package: Path) -> None:
    """A stub whose class is gone fails the check and goes with the next run; other files stay."""
    gen(package, "pkg", "-o", "out")
    (package / "out" / "remote_mine.py").write_text("# my own\n")
    (package / "pkg" / "sub" / "two.py").write_text("")
    done = gen(package, "pkg", "-o", "out", "--check")
    assert done.returncode == 1
    assert "stale: out/remote_two.py" in done.stdout
    assert "1 deleted" in gen(package, "pkg", "-o", "out").stdout
    assert sorted(p.name for p in (package / "out").iterdir()) == [
        "remote_mine.py",
        "remote_one.py",
    ]


@pytest.mark.slow
def test_one_class_never_makes_another_stale(package: Path) -> None:
    """Generating a single class leaves the module's other stubs alone."""
    (package / "pkg" / "one.py").write_text(MODULE.format("One") + MODULE.format("Other"))
    gen(package, "pkg.one", "-o", "out")
    gen(package, "pkg.one:One", "-o", "out")
    assert (package / "out" / "remote_other.py").exists()


def test_a_broken_class_fails_alone(package: Path) -> None:
    """The others are written, the exit status is 1, and the error says where."""
    (package / "pkg" / "one.py").write_text(
        "from torch import nn\nclass Odd(nn.Module):\n    forward = print\n" + MODULE.format("One")
    )
    done = gen(package, "pkg", "-o", "out")
    assert (package / "out" / "remote_one.py").exists()
    assert (package / "out" / "remote_two.py").exists()
    assert (done.returncode == 1) == ("error:" in done.stderr)


@pytest.mark.slow
def test_live_reading_imports(package: Path) -> None:
    """``--import`` runs the package, and says so when that fails."""
    done = gen(package, "pkg.one:One", "-o", "out", "--import")
    assert done.returncode == 1
    assert "user code ran" in done.stderr
    (package / "pkg" / "__init__.py").write_text("")
    assert gen(package, "pkg.one:One", "-o", "out", "--import").returncode == 0
