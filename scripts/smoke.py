"""The smoke program: what a user does first, with an installed remotemod, outside of any checkout.

Run it with the Python of the environment in question, which needs remotemod and torch and nothing else::

    ENV/bin/python scripts/smoke.py [--json FILE]

``--json`` writes ``python``, ``remotemod``, ``torch``, ``torchscript`` (null: not asked) and ``steps``, each with ``step``,
``status`` (``ok``, ``failed``, ``skipped``: this torch does not have it), ``seconds`` and ``detail``.

Each step is a program of ``smoke_programs/`` that runs in a fresh folder as a process of its own, bounded in time. A
row a step says how long it took; a step that failed says why, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from smoke_steps import CHECKERS, STEPS, Skipped, Smoke, StepFailed

CHECKOUT = Path(__file__).resolve().parent.parent


class Row(NamedTuple):
    """What came of a step: ``ok``, ``failed`` or ``skipped``."""

    step: str
    status: str
    seconds: float
    detail: str


def versions() -> dict[str, str]:
    """What the run was about."""
    found = {"python": platform.python_version()}
    for name in ("remotemod", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            sys.exit(f"{name} is not installed in {sys.prefix}")
    return found


def report(row: Row) -> None:
    """A row as soon as it is known."""
    head, _, rest = row.detail.strip().partition("\n")
    print(f"{row.step:<10} {row.status:<7} {row.seconds:6.1f} s  {head}", flush=True)
    if row.status == "failed" and rest:
        print("    " + "\n    ".join(rest.splitlines()[-30:]), flush=True)


def attempt(name: str, step: Callable[[], str]) -> Row:
    """Run one step."""
    start = time.monotonic()
    try:
        status, detail = "ok", step()
    except Skipped as reason:
        status, detail = "skipped", str(reason)
    except (StepFailed, OSError, ValueError) as error:
        status, detail = "failed", str(error) or repr(error)
    return Row(name, status, round(time.monotonic() - start, 2), detail)


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    parser.add_argument("--only", metavar="STEPS", help=f"some of {','.join(STEPS)}")
    parser.add_argument("--timeout", type=float, default=120, help="seconds a process may take")
    parser.add_argument(
        "--torchscript",
        action=argparse.BooleanOptionalAction,
        help="whether torch must be able to script; by default it is found out",
    )
    for checker in CHECKERS:
        parser.add_argument(
            f"--{checker}",
            nargs="?",
            const=sys.executable,
            metavar="PYTHON",
            help=f"a step more, with {checker}: this Python has it (by default the one that runs this)",
        )
    parser.add_argument(
        "--in-checkout", action="store_true", help="remotemod may be the checkout's own"
    )
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else list(STEPS)
    unknown = [name for name in options.only if name not in STEPS]
    if unknown:
        parser.error(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}")
    return options


def where(smoke: Smoke, in_checkout: bool) -> str:
    """The first step: an installed package, and not the checkout beside this file."""
    folder = smoke.installed()
    if not in_checkout and Path(folder).resolve().is_relative_to(CHECKOUT / "remotemod"):
        raise StepFailed(f"{folder} is the checkout: install a wheel, or say --in-checkout")
    return folder


def main() -> int:
    """Run the steps and return the exit status."""
    options = parse()
    found = versions()
    print(", ".join(f"{name} {version}" for name, version in found.items()), flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="remotemod-smoke-") as folder:
        smoke = Smoke(Path(folder), options.timeout, options.torchscript)
        steps: dict[str, Callable[[], str]] = {n: getattr(smoke, n) for n in options.only}
        if "installed" in steps:
            steps["installed"] = lambda: where(smoke, options.in_checkout)
        for checker in CHECKERS:
            if python := getattr(options, checker):
                steps[checker] = partial(smoke.types, checker, os.path.abspath(python))
        for name, step in steps.items():
            rows.append(attempt(name, step))
            report(rows[-1])
    if options.json:
        said = {**found, "torchscript": smoke.torchscript, "steps": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(said, indent=1) + "\n")
    failed = [row.step for row in rows if row.status == "failed"]
    total = sum(row.seconds for row in rows)
    print(f"{len(rows) - len(failed)} of {len(rows)} steps in {total:.0f} s", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
