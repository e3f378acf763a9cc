"""Proves that pre-commit's environment, which has no torch, generates what an environment with torch does."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import yaml
from running import run

__all__ = ["hook_packages", "same_without_torch"]

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ["examples/digits/model.py", "examples", "tests/golden/cases"]
"""A file, a package and a folder."""
NEEDS_TORCH = {"tests/golden/cases/containers.py": "PackedSequence"}
"""Files of these that only torch's source explains, and the name that must be in the error."""
KEPT_AWAY = ("torch", "numpy", "msgspec", "cloudpickle", "safetensors")


def hook_packages() -> list[str]:
    """What pre-commit gives pip beside the project itself."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    [hook] = [hook for hook in hooks if hook["language"] == "python"]
    return [str(package) for package in hook["additional_dependencies"]]


def same_without_torch(wheel: Path, folder: Path, with_torch: Path) -> str:
    """Generate with both environments, in copies of our sources; say how much was compared, and raise ``SystemExit`` where they differ.

    Args:
        wheel: what to install.
        folder: where to work; it must not hold ``hook`` and ``sources``.
        with_torch: the Python of an environment that has this remotemod and torch.
    """
    python = folder / "hook" / "bin" / "python"
    run(sys.executable, "-m", "venv", folder / "hook")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, wheel, *hook_packages())
    absent = f"import importlib.util as u; print([n for n in {KEPT_AWAY} if u.find_spec(n)])"
    if run(python, "-c", absent).stdout.strip() != "[]":
        sys.exit(
            "pre-commit's environment has torch, or what comes with it: see .pre-commit-hooks.yaml"
        )

    sources = folder / "sources"
    for name in {target.split("/")[0] for target in TARGETS}:
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for target, name in NEEDS_TORCH.items():
        refused = run(python, "-m", "remotemod", "gen", target, "--stdout", cwd=sources, fine=(1,))
        if name not in refused.stderr or "torch is not installed" not in refused.stderr:
            sys.exit(
                f"without torch `remotemod gen {target}` does not name {name}:\n{refused.stderr}"
            )
        (sources / target).unlink()
    return "\n".join(_compared(target, sources, python, with_torch) for target in TARGETS)


def _compared(target: str, sources: Path, without_torch: Path, with_torch: Path) -> str:
    """Generate for one target with both Pythons."""
    theirs, theirs_said = _generated(with_torch, target, sources, "stubs1")
    ours, ours_said = _generated(without_torch, target, sources, "stubs2")
    if ours_said != theirs_said:
        sys.exit(f"{target}: without torch it says\n{ours_said}\nand with torch\n{theirs_said}")
    different = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if different:
        sys.exit(f"{target}: without torch these stubs differ: {', '.join(different)}")
    check = ("gen", target, "-o", "stubs1", "--check")  # torch's stubs, seen by the hook
    run(without_torch, "-m", "remotemod", *check, cwd=sources)
    return f"{target}: {len(ours)} stubs are the same"


def _generated(python: Path, target: str, sources: Path, out: str) -> tuple[dict[str, str], str]:
    """The stubs of a target, and what the commands print."""
    shutil.rmtree(sources / out, ignore_errors=True)
    made = run(python, "-m", "remotemod", "gen", target, "-o", out, cwd=sources).stdout
    files = [target] if target.endswith(".py") else sorted((sources / target).rglob("*.py"))
    shown = [
        run(python, "-m", "remotemod", "show", file, "--json", cwd=sources, fine=(0, 1)).stdout
        for file in files[:5]
    ]
    stubs = {path.name: path.read_text() for path in (sources / out).iterdir()}
    return stubs, "".join([made.replace(out, "OUT"), *shown])
