"""``remotemod doctor`` on installations that are whole, and on some that are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remotemod.doctor.model import BackendCheck, Library, Report, TorchName
from remotemod.torch_compat.catalogue import catalogue

ROOT = Path(__file__).parent.parent.parent


def examined(*more: str, path: Path | None = None) -> tuple[int, Any]:
    """The status and the report of the command; ``path`` comes first among what Python imports."""
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    done = subprocess.run(
        [sys.executable, "-m", "remotemod", "doctor", "--json", *more],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), *paths])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_all_that_is_installed_works() -> None:
    """Each of our backends has made a real call and a backward pass, and every name of torch is listed."""
    status, report = examined()
    assert report["problems"] == []
    assert status == 0
    ours = {check["name"]: check for check in report["backends"]}
    assert {"inproc", "shm", "torch_rpc"} <= ours.keys()
    assert all(check["works"] and check["call"] > 0 for check in ours.values())
    assert "processes" in ours["shm"]["capabilities"]
    assert [name["name"] for name in report["names"]] == [
        private.name for topic in catalogue().values() for private in topic
    ]
    assert {library["name"] for library in report["libraries"]} >= {"torch", "jinja2", "msgspec"}


@pytest.mark.slow
def test_what_does_not_work_is_a_problem(tmp_path: Path) -> None:
    """A backend that cannot be imported and a name that torch lost are told, each with what it means."""
    (tmp_path / "sitecustomize.py").write_text(
        "import torch\ndel torch._C._will_engine_execute_node, torch._C._has_storage\n"
    )
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[remotemod.backends]\nbroken = nowhere_at_all:launch\n")
    status, report = examined(path=tmp_path)
    assert status == 1
    problems = "\n".join(report["problems"])
    assert "backend 'broken'" in problems
    assert "nowhere_at_all" in problems
    assert "_will_engine_execute_node" in problems
    assert "_has_storage" not in problems  # there is a public way
    broken = {check["name"] for check in report["backends"] if not check["works"]}
    assert broken == {"broken", "shm", "torch_rpc"}  # inproc needs no such name: there is one graph


def test_problems_are_what_is_installed_and_does_not_work() -> None:
    """Missing libraries that are needed, names without a public way, and backends; nothing else."""
    report = Report(
        remotemod="1",
        python="3",
        platform="Linux",
        torch="2",
        torchscript=None,
        accelerators=(),
        libraries=(Library("libcst", None), Library("numpy", None, "arrays"), Library("rich", "1")),
        names=(
            TorchName("engine", "torch._a", False, "x", "y is off", ""),
            TorchName("engine", "torch._b", False, "x", "slower", "torch.b"),
            TorchName("engine", "torch._c", True, "x", "y", ""),
        ),
        backends=(BackendCheck("shm", True), BackendCheck("ray", False, why="no ray")),
    )
    assert report.problems == [
        "libcst is not installed: pip install libcst",
        "torch has no torch._a: y is off",
        "backend 'ray': no ray",
    ]
