"""Write docs/compatibility.md from the records of docs/compatibility.json and the names in remotemod/torch_compat."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RECORDS", "page", "read", "render", "write"]

CHECKOUT = Path(__file__).resolve().parent.parent
RECORDS = CHECKOUT / "docs" / "compatibility.json"
PAGE = CHECKOUT / "docs" / "compatibility.md"

_HEAD = """# Versions of torch and Python

What was seen to work, from runs of the wheel in environments of their own; `make matrix` repeats them and writes this
page (`scripts/matrix.py`). The smoke program is what a new user does first (`scripts/smoke.py`): README's example, the
command line on a file of the user's, calls, a training step, torch.compile, torch_rpc, scripted calls, and an archive
that another process loads. The fast tier is the tests without the slow ones, run against the installed wheel.

"""
_NAMES = """
## Private names of torch

remotemod relies on {count} private names of torch. Each stands in one small function of `remotemod/torch_compat/`, which
says which behaviour is relied on and what happens without it. No eager call and no import needs one of them
(`tests/test_torch_compat.py` deletes each of them from torch, or, where torch itself cannot go on without it, hides it from
remotemod); the feature that does is off, and says so when it is used. `remotemod doctor` tells which are there.

| part | name | without it | public way |
|---|---|---|---|
"""


def read() -> list[dict[str, Any]]:
    """The records."""
    found: list[dict[str, Any]] = json.loads(RECORDS.read_text()) if RECORDS.exists() else []
    return found


def write(records: Sequence[dict[str, Any]]) -> None:
    """Keep the records, oldest torch first."""
    ordered = sorted(records, key=lambda r: (_numbers(r["torch"]), _numbers(r["python"])))
    RECORDS.write_text(json.dumps(ordered, indent=1) + "\n")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split("+")[0].split(".") if part.isdigit()]


def page(records: Sequence[dict[str, Any]]) -> str:
    """The text of the page."""
    sys.path.insert(0, str(CHECKOUT))
    from remotemod.torch_compat.catalogue import catalogue

    lines = [
        "| torch | Python | dependencies | smoke program | fast tier | TorchScript | names missing | seen on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for record in records:
        smoke, tests = record["smoke"], record["tests"]
        good = sum(status == "ok" for status in smoke.values())
        fast = f"{tests['passed']:,} passed"
        if tests["failed"]:
            fast += f", {tests['failed']} failed"
        if tests["skipped"]:
            fast += f", {tests['skipped']} skipped"
        scripted = "works" if record["torchscript"] is None else "no"
        lines.append(
            f"| {record['build'].split(',')[0]} | {record['python']} | {'lowest' if record.get('lowest') else 'newest'} | {good} of {len(smoke)} | {fast} | {scripted} | "
            f"{len(record['missing']) or 'none'} | {record['date']} |"
        )
        where = f"torch {record['torch']}, Python {record['python']}"
        notes += [
            f"* {where}: the smoke program's step `{s}`: {w}"
            for s, w in record["smoke_failures"].items()
        ]
        notes += [f"* {where}: `{name}` failed" for name in record["failures"]]
        if record["torchscript"] is not None:
            notes.append(f"* {where}: TorchScript: {record['torchscript']}")
        notes += [f"* {where}: torch has no `{name}`" for name in record["missing"]]
    text = _HEAD + "\n".join(lines) + "\n"
    if notes:
        text += "\nWhat did not work:\n\n" + "\n".join(notes) + "\n"
    names = catalogue()
    text += _NAMES.format(count=sum(map(len, names.values())))
    for topic, privates in names.items():
        for each in privates:
            text += f"| {topic} | `{each.name}` | {each.without} | {each.instead or '-'} |\n"
    return text


def render() -> None:
    """Write the page."""
    PAGE.write_text(page(read()))


if __name__ == "__main__":
    render()
