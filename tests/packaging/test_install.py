"""What installs rely on: the hook's packages, the smoke program's judgement, no torch without need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from artefacts import relative_links
from torchless import hook_packages

from tests.packaging.conftest import ROOT

PIN = re.compile(r"^([A-Za-z0-9_-]+)==([^;\s]+)", re.MULTILINE)


def pins(text: str) -> dict[str, set[str]]:
    """The pinned versions in a text, by the names as pip compares them."""
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(text):
        found.setdefault(name.lower().replace("_", "-"), set()).add(version)
    return found


def test_the_hook_installs_the_generators_packages_and_no_more() -> None:
    """Pinned, as ``constraints.txt`` has them, without what they or remotemod would pull in."""
    packages = hook_packages()
    assert packages[0] == "--no-deps"
    assert all(PIN.match(package) for package in packages[1:])
    hook, ours = pins("\n".join(packages)), pins((ROOT / "constraints.txt").read_text())
    assert not {"torch", "numpy", "msgspec", "cloudpickle", "safetensors"} & set(hook)
    shared = set(hook) & set(ours)
    assert {"jinja2", "libcst", "rich", "typer", "typing-extensions"} <= shared
    assert not {name for name in shared if not ours[name] <= hook[name]}


def test_both_hooks_run_the_same_command() -> None:
    """One in an environment of its own, one in the user's."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["language"] for hook in hooks] == ["python", "system"]
    assert {hook["entry"] for hook in hooks} == {"remotemod gen --check"}


def test_relative_links_are_found() -> None:
    """Those in code are none; those that hold everywhere are none."""
    text = "[a](docs/a.md) [b](https://example.org/b) [c](#c)\n```python\nx[0](y)\n```\n[d](D.md)"
    assert relative_links(text) == ["docs/a.md", "D.md"]


def smoke(*options: str) -> subprocess.CompletedProcess[str]:
    """The smoke program with this environment's Python."""
    command = [sys.executable, str(ROOT / "scripts" / "smoke.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_smoke_program_fails_with_a_reason(tmp_path: Path) -> None:
    """Here remotemod is the checkout's own, which proves nothing about an install."""
    code = "import remotemod; print(remotemod.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    if not Path(found.stdout.strip()).is_relative_to(ROOT):
        pytest.skip(f"remotemod is not installed from this tree but in {found.stdout.strip()}")
    done = smoke("--only", "installed,command")
    assert done.returncode == 1
    assert "is the checkout: install a wheel" in done.stdout
    assert "failed: installed" in done.stdout
    assert re.search(r"^command +ok", done.stdout, re.MULTILINE)
    assert smoke("--only", "installed", "--in-checkout").returncode == 0
    assert smoke("--only", "nothing").returncode == 2


def test_commands_that_need_torch_say_so(tmp_path: Path) -> None:
    """Where torch is missing ``export`` ends with one error, not with a traceback."""
    program = tmp_path / "no_torch.py"
    program.write_text(
        "import sys\nsys.modules['torch'] = None\nfrom remotemod.cli import main\n"
        "sys.argv[1:] = ['export', 'x.py:make', '-o', 'x.pt']\nmain()\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this needs torch, and torch is not installed here")
    assert "Traceback" not in done.stderr
