"""``remotemod gen``: files, drift, messages and exit codes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from remotemod.cli.app import app

SOURCE = """
import torch
from torch import Tensor, nn


@torch.jit.interface
class Backbone(nn.Module):
    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        pass


class Head(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package whose code must not run."""
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "pkg_cli"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('user code ran')\n")
    (package / "mod.py").write_text(SOURCE + "\nraise RuntimeError('user code ran')\n")
    return tmp_path


def cli(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def stamps(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_gen_writes_and_then_leaves_alone(project: Path) -> None:
    """The second run finds everything as it should be and touches no file; no user code runs."""
    first = cli("gen", "pkg_cli.mod", "-o", "out")
    assert first.exit_code == 0, first.output
    assert "2 written" in first.stdout
    before = stamps(project / "out")
    assert sorted(before) == ["remote_backbone.py", "remote_head.py"]
    second = cli("gen", "pkg_cli.mod", "-o", "out")
    assert second.exit_code == 0
    assert "2 unchanged" in second.stdout
    assert stamps(project / "out") == before


@pytest.mark.parametrize("target", ["pkg_cli.mod:Head", "pkg_cli/mod.py:Head"])
def test_gen_of_one_class(project: Path, target: str) -> None:
    """A target with a name makes one file, which says how to make it again."""
    assert cli("gen", target, "-o", "out").exit_code == 0
    [path] = (project / "out").iterdir()
    assert f"# run: remotemod gen {target} -o DIR" in path.read_text()


@pytest.mark.parametrize("flags", [[], ["--eager"], ["--scripted", "--no-device-moves"]])
def test_check_shows_drift_and_the_command_mends_it(project: Path, flags: list[str]) -> None:
    """After a change ``--check`` exits 1 with a diff, and its command brings the files up to date."""
    target = "pkg_cli/mod.py:Backbone"
    assert cli("gen", target, "-o", "my out", *flags).exit_code == 0
    assert cli("gen", target, "-o", "my out", "--check", *flags).exit_code == 0
    path = project / "my out" / "remote_backbone.py"
    before = path.read_text()
    module = project / "pkg_cli" / "mod.py"
    module.write_text(module.read_text().replace("scale: float = 1.0", "scale: float = 2.5"))
    checked = cli("gen", target, "-o", "my out", "--check", *flags)
    assert checked.exit_code == 1
    assert any(line.startswith("-") and "1.0" in line for line in checked.stdout.splitlines())
    assert any(line.startswith("+") and "2.5" in line for line in checked.stdout.splitlines())
    assert "1 stub is out of date; regenerate with:" in checked.stdout
    assert path.read_text() == before
    command = checked.stdout.splitlines()[-1].strip()  # the last word, after the diff
    program, *arguments = shlex.split(command)
    assert program == "remotemod"
    assert cli(*arguments).exit_code == 0
    assert "2.5" in path.read_text()
    assert cli("gen", target, "-o", "my out", "--check", *flags).exit_code == 0


def test_check_notices_a_missing_file(project: Path) -> None:
    """A stub that was never written is out of date."""
    checked = cli("gen", "pkg_cli.mod", "-o", "out", "--check")
    assert checked.exit_code == 1
    assert "2 stubs are out of date" in checked.stdout
    assert "--- /dev/null" in checked.stdout
    assert not (project / "out").exists()


def test_check_of_text_with_brackets_prints_it_whole(project: Path) -> None:
    """A diff is printed as it is: nothing in it is markup, no line is folded."""
    (project / "wide.py").write_text(
        "from torch import nn\nclass W(nn.Module):\n    def forward(self, x: 'list[int]' = [1], "
        "word: str = '[bold]" + "w" * 200 + "[/bold]') -> int: ...\n"
    )
    checked = cli("gen", "wide.py", "-o", "out", "--check")
    assert '+        word: str = "[bold]' + "w" * 200 + '[/bold]",' in checked.stdout.splitlines()


def test_diff_writes_nothing(project: Path) -> None:
    """``--diff`` prints what would change and exits 0."""
    shown = cli("gen", "pkg_cli.mod:Head", "-o", "out", "--diff")
    assert shown.exit_code == 0
    assert "+class RemoteHead(RemoteModule):" in shown.stdout
    assert not (project / "out").exists()


def test_stdout_prints_the_stub(project: Path) -> None:
    """``--stdout`` prints the file's very text."""
    shown = cli("gen", "pkg_cli.mod:Head", "--stdout")
    assert shown.exit_code == 0
    assert cli("gen", "pkg_cli.mod:Head", "-o", "out").exit_code == 0
    assert shown.stdout == (project / "out" / "remote_head.py").read_text()
    assert not cli("gen", "pkg_cli.mod:Head", "--stdout", "--eager").stderr


def test_forms_can_be_chosen(project: Path) -> None:
    """By default an interface is scripted and a module eager; options say otherwise."""
    scripted = "operators=[Operator("
    assert scripted in cli("gen", "pkg_cli.mod:Backbone", "--stdout").stdout
    assert scripted not in cli("gen", "pkg_cli.mod:Backbone", "--stdout", "--eager").stdout
    assert scripted in cli("gen", "pkg_cli.mod:Head", "--stdout", "--scripted").stdout
    plain = cli("gen", "pkg_cli.mod:Head", "--stdout", "--no-device-moves").stdout
    assert "to_caller" not in plain


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("pkg_cli.mod:Missing", "mod.py: there is no class Missing in pkg_cli.mod"),
        ("no_such_module:X", "there is no module named no_such_module"),
        ("no/such/file.py", "there is no file no/such/file.py"),
        ("broken.py", "broken.py:2"),
        ("noforward.py:Encoder", "noforward.py:3: Encoder has no forward"),
        ("variadic.py:V", "variadic.py:2: V.forward: 'rest' is variadic"),
    ],
)
def test_errors_say_where_what_and_how(project: Path, target: str, what: str) -> None:
    """Every failure is one message with the place, the reason and a way out, and exit code 1."""
    (project / "broken.py").write_text("x = 1\ndef (:\n")
    (project / "noforward.py").write_text(
        "from torch import nn\nimport torch\n@torch.jit.interface\nclass Encoder(nn.Module):\n"
        "    def encode(self) -> int:\n        pass\n"
    )
    (project / "variadic.py").write_text(
        "from torch import nn\nclass V(nn.Module):\n    def forward(self, *rest) -> int: ...\n"
    )
    flags = ["--scripted"] if "variadic" in target else []
    done = cli("gen", target, "-o", "out", *flags)
    assert done.exit_code == 1
    assert "error:" in done.stderr
    assert what in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.output
    assert not (project / "out").exists()


def test_one_failure_does_not_stop_the_others(project: Path) -> None:
    """What can be generated is; the exit code still says that something failed."""
    done = cli("gen", "pkg_cli.mod:Missing", "pkg_cli.mod:Head", "-o", "out")
    assert done.exit_code == 1
    assert "1 failed, 1 written" in done.stdout
    assert (project / "out" / "remote_head.py").is_file()


def test_output_is_asked_for(project: Path) -> None:
    """Without a folder and without ``--stdout`` there is nothing to do."""
    done = cli("gen", "pkg_cli.mod:Head")
    assert done.exit_code == 2
    assert "give -o DIR, or --stdout" in done.output


def test_folder_that_cannot_be_written_is_one_message(project: Path) -> None:
    """A file in the place of the folder gives a message, not a traceback."""
    (project / "out").write_text("")
    done = cli("gen", "pkg_cli.mod:Head", "-o", "out")
    assert done.exit_code == 1
    assert "out" in done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    """``remotemod --help`` imports neither torch nor libcst, jinja2 or rich."""
    code = (
        "import sys\nfrom remotemod.cli import main\nsys.argv = ['remotemod', '--help']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "print(sorted({'torch', 'libcst', 'jinja2', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        # Old releases of typer use what click has deprecated since.
        env={**os.environ, "PYTHONWARNINGS": "error,ignore:'click.utils:DeprecationWarning"},
    )
    assert done.stdout.endswith("[]\n")
    assert "gen" in done.stdout
    assert "show" in done.stdout


def test_gen_loads_no_torch(project: Path) -> None:
    """Generating from source needs no torch at all."""
    code = (
        "import sys\nfrom remotemod.cli import main\n"
        "sys.argv = ['remotemod', 'gen', 'pkg_cli.mod', '-o', 'out']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=project, capture_output=True)
