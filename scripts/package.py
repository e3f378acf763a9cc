"""``make package``: builds sdist and wheel, installs the wheel into fresh environments, and tries it there as a user would."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import indent

from artefacts import ROOT, problems, source_files
from running import run
from torchless import same_without_torch

DIST = ROOT / "dist"
CONSTRAINTS = ROOT / "constraints.txt"


@contextlib.contextmanager
def stage(title: str) -> Iterator[None]:
    """Say what goes on, and how long it took."""
    print(f"== {title}", flush=True)
    start = time.monotonic()
    yield
    print(f"   {time.monotonic() - start:.0f} s", flush=True)


def build(files: Sequence[str], folder: Path, root: Path = ROOT) -> tuple[Path, Path]:
    """An sdist of the files below ``root``, and a wheel of that sdist; leavings of earlier builds have no part in them."""
    tree = folder / "tree"
    for name in files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, tree / name, follow_symlinks=False)
    built = folder / "dist"
    run(sys.executable, "-m", "build", "--outdir", built, tree)
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    return sdist, wheel


def environment(folder: Path, *packages: object) -> Path:
    """The Python of a new environment that holds packages, in the versions of constraints.txt."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--constraint", CONSTRAINTS, *packages)
    return python


def checkers() -> list[str]:
    """The type checkers of this environment, as options of the smoke program."""
    found = []
    for name, need in (("mypy", None), ("pyright", "node")):
        if importlib.util.find_spec(name) is None:
            print(f"   {name} is not tried: it is not installed here", flush=True)
        elif need is not None and shutil.which(need) is None:
            print(f"   {name} is not tried: it needs {need}", flush=True)
        else:
            found += [f"--{name}", sys.executable]
    return found


def unpacked(sdist: Path, folder: Path) -> Path:
    """The folder that an sdist unpacks to."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [root] = folder.iterdir()
    return root


def try_editable(options: Sequence[str], folder: Path) -> str:
    """Type checkers see remotemod where it is installed as this environment has it."""
    smoke = (ROOT / "scripts" / "smoke.py", "--in-checkout", "--only", "installed")
    return run(sys.executable, *smoke, *options, cwd=folder).stdout


def try_sdist(sdist: Path, folder: Path) -> str:
    """All tests of an sdist can be collected, and those of its own layout pass."""
    tree = unpacked(sdist, folder / "sdist")
    pytest = (sys.executable, "-m", "pytest", "-qq")
    collected = run(*pytest, "--collect-only", cwd=tree).stdout
    run(*pytest, "tests/test_layers.py", cwd=tree)
    return f"{sum(int(n) for n in re.findall(r': ([0-9]+)$', collected, re.MULTILINE))} tests"


def main() -> int:
    """All stages; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--build-only", action="store_true", help="build and compare, install nothing"
    )
    options = parser.parse_args()
    files = source_files()
    with tempfile.TemporaryDirectory(prefix="remotemod-package-") as name:
        folder = Path(name)
        with stage("build sdist and wheel"):
            sdist, wheel = build(files, folder)
        with stage("compare them with the tree"):
            found = problems(sdist, wheel, files)
            if found:
                sys.exit("\n".join(found))
        if not options.build_only:
            try_out(sdist, wheel, folder)
        DIST.mkdir(exist_ok=True)
        for old in DIST.glob("remotemod-*"):
            old.unlink()
        for path in (sdist, wheel):
            shutil.copy2(path, DIST)
            print(f"dist/{path.name}  {path.stat().st_size:,} bytes")
    return 0


def try_out(sdist: Path, wheel: Path, folder: Path) -> None:
    """Use what was built; what needs little goes on beside the large environment."""
    options = checkers()
    with ThreadPoolExecutor(1) as beside:
        others = {
            "beside: the generator without torch, as pre-commit installs it": beside.submit(
                same_without_torch, wheel, folder, Path(sys.executable)
            ),
            "beside: type checkers, with the editable install": beside.submit(
                try_editable, options, folder
            ),
            "beside: the sdist's tests": beside.submit(try_sdist, sdist, folder),
        }
        try:
            with stage("install the wheel into a fresh environment"):
                python = environment(folder / "env", wheel)
                run(python, "-m", "pip", "check")
            with stage("smoke program, with the wheel"):
                smoke = ROOT / "scripts" / "smoke.py"
                run(python, smoke, *options, cwd=folder, shown=True)
            for title, other in others.items():
                print(f"== {title}", flush=True)
                print(indent(other.result().strip(), "   "), flush=True)
        finally:
            beside.shutdown(cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
