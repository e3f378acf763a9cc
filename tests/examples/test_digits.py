"""The demo, run as a stranger runs it, and run here with something in it exchanged."""

from __future__ import annotations

import importlib
import importlib.util
import py_compile
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from examples.digits.ways import blocking, with_head_at_home
from tests.examples.strangers import python

# Looked for, not imported: that takes seconds, and the tests here run programs.
NEEDED = {"sklearn": "the demo's images come with scikit-learn", "matplotlib": "the demo draws"}
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}: {why}")
    for name, why in NEEDED.items()
]

TRAINING = ["last loss", "state_dict", "test accuracy", "training took", "a step took"]
WAYS = ["RemoteModule", "stub file", "stub file, async", "scripted", "scripted, async"]


@pytest.fixture(scope="module")
def fonts() -> None:
    """The first import on a machine may say on stderr that it looks for fonts; so not in the demo."""
    importlib.import_module("matplotlib.font_manager")


def rows(output: str, names: list[str]) -> dict[str, list[str]]:
    """A result table's rows: the name, then the other cells."""
    lines = [line.strip().split("  ") for line in output.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells if line and line[0] in names}


def shades(picture: Path) -> tuple[tuple[int, int], int]:
    """A PNG's width and height in pixels, and how many different colours it has."""
    from matplotlib.image import imread

    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    size: tuple[int, int] = struct.unpack(">II", head[16:])
    pixels = imread(picture)
    return size, len({tuple(pixel) for row in pixels[::4] for pixel in row})


@pytest.mark.slow
def test_the_demo_trains_and_classifies_alike_and_leaves_nothing(
    fonts: None, tmp_path: Path
) -> None:
    """Two epochs, output that is no terminal."""
    out = tmp_path / "new" / "out"
    done = python("-m", "examples.digits", "--epochs=2", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""

    trained = rows(done.stdout, TRAINING)
    assert list(trained) == TRAINING
    for name, compared in zip(TRAINING, ["58 losses", "15 tensors", "8,980 logits"], strict=False):
        one, three, *rest = trained[name]
        assert (one, rest) == (three, [compared, "yes"])
    accuracy = trained["test accuracy"][0]
    assert float(accuracy.rstrip("%")) > 70
    assert "RemoteBlock(on='worker1'" in done.stdout
    assert len(set(re.findall(r"process:? (\d+)$", done.stdout, re.MULTILINE))) == 3

    called = rows(done.stdout, ["local", *WAYS])
    assert list(called) == ["local", *WAYS]
    assert called["local"][0] == accuracy
    for way in WAYS:
        identical, same_accuracy, calls, sent, received = called[way]
        assert (identical, same_accuracy) == ("yes", accuracy)
        assert int(calls.replace(",", "")) > 0
        assert (sent, received) == ("224 KiB", "224 KiB")

    [stub] = out.glob("*.py")
    assert f"generated stub: {stub}" in done.stdout
    assert "class RemoteFeatureExtractor(RemoteModule):" in done.stdout
    py_compile.compile(str(stub), cfile=str(tmp_path / "stub.pyc"), doraise=True)
    [picture] = out.glob("*.png")
    assert f"plot of the losses: {picture}" in done.stdout
    size, colours = shades(picture)
    assert size == (1000, 600)
    assert colours > 20  # two curves with soft edges, and not an empty sheet


@pytest.fixture
def demo(
    fork_server: None, fonts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The demo as a module of this process, set to one epoch."""
    program = importlib.import_module("examples.digits.__main__")
    monkeypatch.setattr("sys.argv", ["digits", "--epochs=1", f"--out={tmp_path / 'out'}"])
    monkeypatch.setattr("sys.path", sys.path[:])  # the demo imports the stub that it writes
    threads = torch.get_num_threads()
    yield program
    torch.set_num_threads(threads)
    sys.modules.pop("remote_feature_extractor", None)


@pytest.mark.slow
def test_a_way_with_other_logits_fails_the_demo(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head that nobody trained gives other logits, and the exit status says so."""

    def ways(remote: Any, stub: Any, trained: torch.nn.Module) -> dict[str, Any]:
        untrained = demo.Classifier(remote, demo.Block())
        return {
            "sound": blocking(with_head_at_home(remote, trained)),
            "broken": blocking(untrained),
        }

    monkeypatch.setattr(demo, "remote_ways", ways)
    assert demo.main() == 1
    said = capsys.readouterr()
    assert said.err == "error: logits differ from the local model's: broken\n"
    assert "generated stub:" in said.out


@pytest.mark.slow
def test_another_training_fails_the_demo(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the workers are not seeded, dropout draws other masks, and the demo says what came of it."""
    monkeypatch.setattr(demo, "seed", lambda workers=(): torch.manual_seed(0))
    assert demo.main() == 1
    said = capsys.readouterr()
    losses, weights, accuracy, ways = said.err.splitlines()
    assert re.match(r"error: \d+ of 29 losses differ, first in step 1: \d.* in one process", losses)
    assert "of 15 trained tensors differ: backbone.layers.0.weight, " in weights
    assert accuracy.startswith("error: test logits differ; accuracy ")
    assert ways == f"error: logits differ from the local model's: {', '.join(WAYS)}"
    assert [row[-1] for row in rows(said.out, TRAINING[:3]).values()] == ["no"] * 3


def test_help_needs_no_training(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The options are told before anything is started."""
    monkeypatch.setattr("sys.argv", ["digits", "--help"])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--epochs", "--out"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("--epochs=0", "must be at least 1"), (f"--out={__file__}", "is not a folder")],
)
def test_bad_options_need_no_training(
    wrong: str,
    said: str,
    demo: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The options are checked before anything is started."""
    monkeypatch.setattr("sys.argv", ["digits", wrong])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
