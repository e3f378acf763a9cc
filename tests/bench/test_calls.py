"""``python -m benchmarks.calls``: ours beside other libraries in one run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.calls import PEERS
from benchmarks.calls.__main__ import main
from remotemod.bench.peers import load
from tests.preloaded.programs import like_subprocess


@pytest.mark.slow
def test_a_quick_run_prints_and_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ratios and targets as Markdown, JSON with seconds, and a picture of 1200 × 800."""
    monkeypatch.setattr("remotemod.bench.callers.subprocess", like_subprocess())
    figures, picture = tmp_path / "b.json", tmp_path / "b.png"
    main(
        [
            *("--quick", "--only", "latency", "--sizes", "4", "--against", "torch,direct"),
            *("--json", str(figures), "--plot", str(picture)),
        ]
    )
    printed = capsys.readouterr().out
    for words in ("Median / median of remotemod", "| torch scripted |", "4 B echo / torch's"):
        assert words in printed
    found = json.loads(figures.read_text())
    [row] = found["latency"]
    ways = {"remotemod", "remotemod scripted", "torch", "torch scripted", "direct"}
    assert set(row["ways"]) == ways
    assert all("median" in way for way in row["ways"].values())
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")) == (
        1200,
        800,
    )


def test_other_libraries_are_found() -> None:
    """Each is a row that says what to install, or can run; its library stays unloaded until then."""
    for name in ("torch", "grpc", "ray", "monarch"):
        peer = load(PEERS[name])
        assert peer.launches
        assert (reason := peer.available()) is None or "pip install" in reason


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--against", "zmq"], "direct, inproc, torch_rpc, torch, grpc, ray, monarch"),
        (["--against", ","], "name at least one of direct"),
        (["--sizes", "7"], "a multiple of 4 bytes"),
        (["--only", "launch", "--plot", "x.png"], "add latency to --only"),
    ],
)
def test_nonsense_says_what_is_allowed(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and nothing is measured."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert what in capsys.readouterr().err


def test_a_plot_without_matplotlib_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="2"):
        main(["--plot", str(tmp_path / "x.png")])
    assert "pip install 'remotemod[bench]'" in capsys.readouterr().err
