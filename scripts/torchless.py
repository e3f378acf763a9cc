"""Proves that pre-commit's environment, which has no torch, generates what an environment with torch does."""

from __future__ import annotations

import filecmp
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
        said = run(python, "-m", "remotemod", "gen", target, "--stdout", cwd=sources, fine=(1,))
        if name not in said.stderr or "torch is not installed" not in said.stderr:
            sys.exit(f"without torch `remotemod gen {target}` does not name {name}:\n{said.stderr}")
        (sources / target).unlink()
    compared = []
    for target in TARGETS:
        written, said = [], []
        for who in (with_torch, python):
            stubs = sources / f"stubs-{len(written)}"
            shutil.rmtree(stubs, ignore_errors=True)
            done = run(who, "-m", "remotemod", "gen", target, "-o", stubs, cwd=sources, fine=(0, 1))
            shown = run(who, "-m", "remotemod", "show", target, "--json", cwd=sources, fine=(0, 1))
            written.append(stubs)
            said.append((done.returncode, shown.stdout, done.stdout.replace(str(stubs), "stubs")))
        if said[0] != said[1]:
            sys.exit(
                f"without torch `remotemod gen` and `show {target}` say:\n{said[1]}\nwith torch: {said[0]}"
            )
        names = sorted(path.name for path in written[0].iterdir())
        same, different, missing = filecmp.cmpfiles(*written, names, shallow=False)
        if different or missing or names != sorted(path.name for path in written[1].iterdir()):
            sys.exit(f"without torch, stubs of {target} differ: {different + missing}")
        check = ("gen", target, "-o", written[0], "--check")  # torch's stubs, seen by the hook
        run(python, "-m", "remotemod", *check, cwd=sources, fine=(said[0][0],))
        compared.append(f"{target}: {len(same)} stubs are the same")
    return "\n".join(compared)
