"""``remotemod bench``: tables, files, messages and exit codes; how long anything takes is not asserted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from remotemod.cli.app import app
from tests.preloaded.programs import like_subprocess


def cli(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bench", *arguments])


@pytest.fixture
def forked_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that call are forked with torch in them; a quick run starts them as they are started."""
    monkeypatch.setattr("remotemod.bench.callers.subprocess", like_subprocess())


@pytest.mark.slow
def test_a_quick_run_prints_and_writes(tmp_path: Path) -> None:
    """A table, and JSON with seconds."""
    figures = tmp_path / "b.json"
    command = ["--quick", "--only", "latency,throughput,fanout,creation", "--sizes", "4"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "remotemod",
            "bench",
            *command,
            "--against",
            "direct,inproc",
            "--json",
            str(figures),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for words in ("echo of 4 B", "floor: memcpy", "× remotemod", "pipelined", "creating 50"):
        assert words in done.stdout
    found = json.loads(figures.read_text())
    assert set(found) == {
        *("date", "machine", "versions", "method"),
        *("latency", "throughput", "fanout", "creation"),
    }
    [row] = found["latency"]
    assert set(row["ways"]) == {"remotemod", "remotemod scripted", "direct", "inproc"}
    assert set(row["floors"]) == {"memcpy", "socket"}
    for way in row["ways"].values():
        assert 0 < way["least"] <= way["median"] <= way["p99"] < 60
        assert way["calls_per_block"] >= 3
        assert way["after_pause"] > 0


@pytest.mark.slow
def test_launch_and_memory(forked_callers: None, tmp_path: Path) -> None:
    """Workers are launched cold, then beside the first ones, and weighed."""
    figures = tmp_path / "b.json"
    done = cli(
        *("--quick", "--only", "launch,memory", "--workers", "2"),
        *("--against", "direct", "--json", str(figures)),
    )
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())
    assert set(found["launch"]["cold"]) == set(found["launch"]["warm"]) == {"remotemod"}
    assert found["launch"]["workers"] == 2
    assert found["memory"]["ways"]["remotemod"]["count"] == 2
    assert found["memory"]["ways"]["remotemod"]["median"] > 1 << 20


@pytest.mark.slow
def test_a_missing_peer_is_a_row_that_says_what_to_install(
    forked_callers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are measured, and the exit status is 0."""
    from remotemod.bench.peers import PEERS

    monkeypatch.setitem(PEERS, "inproc", "tests.bench.peers:Absent")
    done = cli("--quick", "--only", "latency", "--sizes", "4", "--against", "inproc,direct")
    assert done.exit_code == 0, done.output
    text = re.sub(r"[\s│]+", " ", done.stdout)
    assert "inproc failed: absent is not installed; pip install absent" in text
    assert "direct" in text


@pytest.mark.slow
def test_nothing_measured_is_a_failure(
    forked_callers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 1 where there is no figure at all."""
    from remotemod.bench.peers import PEERS

    monkeypatch.setitem(PEERS, "remotemod", "tests.bench.peers:Refusing")
    done = cli("--quick", "--only", "latency", "--sizes", "4", "--against", "inproc")
    assert done.exit_code == 0
    monkeypatch.setitem(PEERS, "inproc", "tests.bench.peers:Absent")
    assert cli("--quick", "--only", "latency", "--sizes", "4", "--against", "inproc").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--only", "speed"], "latency, throughput, fanout, creation, launch, memory"),
        (["--against", "zmq"], "direct, inproc, torch_rpc"),
        (["--against", ","], "name at least one of direct"),
        (["--sizes", "7"], "a multiple of 4 bytes"),
        (["--workers", "0"], "workers must be 1 to 256"),
        (["--turns", "long"], "blocks, single"),
        (["--json", "no/such/folder/x.json"], "no folder no/such/folder"),
    ],
)
def test_nonsense_says_what_is_allowed(arguments: list[str], what: str) -> None:
    """Exit status 2, and nothing is measured."""
    done = cli(*arguments)
    assert done.exit_code == 2
    assert what in re.sub(r"[\s│]+", " ", done.output)


@pytest.mark.slow
def test_each_backend_is_measured(forked_callers: None, tmp_path: Path) -> None:
    """Without --against every way that can run here is there, the slower engines too."""
    figures = tmp_path / "b.json"
    done = cli("--quick", "--only", "latency", "--sizes", "4", "--json", str(figures))
    assert done.exit_code == 0, done.output
    [row] = json.loads(figures.read_text())["latency"]
    ours = {"remotemod", "remotemod scripted", "torch_rpc", "torch_rpc scripted", "inproc"}
    assert set(row["ways"]) == {*ours, "direct"}
    assert all("median" in way for way in row["ways"].values())
