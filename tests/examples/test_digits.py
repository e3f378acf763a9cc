"""The demo, run as a stranger runs it."""

from __future__ import annotations

import py_compile
import re
import struct
import subprocess
from pathlib import Path

import pytest

from tests.examples.strangers import python

pytest.importorskip("sklearn", reason="the demo's images come with scikit-learn")
# Its first import on a machine may say on stderr that it looks for fonts; so not in the demo.
pytest.importorskip("matplotlib.font_manager", reason="the demo draws with matplotlib")

TRAINING = ["last loss", "state_dict", "test accuracy", "training took", "a step took"]
WAYS = ["RemoteModule", "stub file", "stub file, async", "scripted", "scripted, async"]


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
def test_the_demo_trains_and_classifies_alike_and_leaves_nothing(tmp_path: Path) -> None:
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


def run_changed(change: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Runs one epoch of the demo with something in it exchanged."""
    script = out.with_suffix(".py")
    script.write_text(
        f"import sys\n\nimport examples.digits.__main__ as demo\n{change}\n"
        f"sys.argv[1:] = ['--epochs=1', {f'--out={out}'!r}]\nraise SystemExit(demo.main())\n"
    )
    return python("-c", f"import runpy; runpy.run_path({str(script)!r})")


BROKEN = """
from examples.digits.ways import blocking, with_head_at_home

def ways(remote, stub, trained):
    sound = with_head_at_home(remote, trained)
    return {"sound": blocking(sound), "broken": blocking(demo.Classifier(remote, demo.Block()))}

demo.remote_ways = ways
"""


@pytest.mark.slow
def test_a_way_with_other_logits_fails_the_demo(tmp_path: Path) -> None:
    """A head that nobody trained gives other logits, and the exit status says so."""
    done = run_changed(BROKEN, tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert done.stderr == "error: logits differ from the local model's: broken\n"
    assert "generated stub:" in done.stdout


@pytest.mark.slow
def test_another_training_fails_the_demo(tmp_path: Path) -> None:
    """Where the workers are not seeded, dropout draws other masks, and the demo says what came of it."""
    change = "demo.seed = lambda workers=(): demo.torch.manual_seed(0)"
    done = run_changed(change, tmp_path / "out")
    assert done.returncode == 1, done.stderr
    losses, weights, accuracy, ways = done.stderr.splitlines()
    assert re.match(r"error: \d+ of 29 losses differ, first in step 1: \d.* in one process", losses)
    assert "of 15 trained tensors differ: backbone.layers.0.weight, " in weights
    assert accuracy.startswith("error: test logits differ; accuracy ")
    assert ways == f"error: logits differ from the local model's: {', '.join(WAYS)}"
    assert [row[-1] for row in rows(done.stdout, TRAINING[:3]).values()] == ["no"] * 3


@pytest.mark.slow
def test_help_and_bad_options_need_no_training() -> None:
    """The options are checked before anything is started."""
    shown = python("-m", "examples.digits", "--help")
    assert shown.returncode == 0
    assert all(option in shown.stdout for option in ("--epochs", "--out"))
    refused = python("-m", "examples.digits", "--epochs=0")
    assert refused.returncode == 2
    assert "must be at least 1" in refused.stderr
    refused = python("-m", "examples.digits", f"--out={__file__}")
    assert refused.returncode == 2
    assert "is not a folder" in refused.stderr
