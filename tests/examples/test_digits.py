"""The demo, run as a stranger runs it."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the demo's images come with scikit-learn")

ROOT = Path(__file__).parents[2]
WAYS = ["RemoteModule", "stub file", "stub file, async", "scripted", "scripted, async"]


def processes_with(mark: str) -> list[str]:
    """The processes that have ``mark`` in their environment, wherever in the tree they are."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # not ours, or gone meanwhile
            continue
    return found


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python at the top of the tree, to the end of every process that it started."""
    mark = f"REMOTEMOD_TEST={uuid.uuid4().hex}"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **dict([mark.split("=")])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    until = time.monotonic() + 5
    while (left := processes_with(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left, "the demo left processes behind"
    return done


def rows(output: str) -> dict[str, list[str]]:
    """The result table's rows: the way, then its other cells."""
    lines = [line.strip().split("  ") for line in output.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: line[1:] for line in cells if line and line[0] in ["local", *WAYS]}


@pytest.mark.slow
def test_the_demo_classifies_alike_in_every_way_and_leaves_nothing(tmp_path: Path) -> None:
    """Two workers, one epoch, output that is no terminal."""
    done = run("-m", "examples.digits", "--epochs=1", "--workers=2", f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    table = rows(done.stdout)
    assert list(table) == ["local", *WAYS]
    accuracy = table["local"][0]
    assert float(accuracy.rstrip("%")) > 50
    for way in WAYS:
        identical, same_accuracy, calls, sent, received = table[way]
        assert (identical, same_accuracy) == ("yes", accuracy)
        assert int(calls.replace(",", "")) > 0
        assert (sent, received) == ("224 KiB", "224 KiB")
    [stub] = tmp_path.glob("*.py")
    assert f"generated stub: {stub}" in done.stdout
    assert "class RemoteFeatureExtractor(RemoteModule):" in done.stdout
    py_compile.compile(str(stub), cfile=str(tmp_path / "stub.pyc"), doraise=True)


BROKEN = """
import examples.digits.__main__ as demo
from examples.digits.ways import blocking

demo.remote_ways = lambda remotes, stubs, head: {
    "sound": blocking([demo.Classifier(remotes[0], head)]),
    "broken": blocking([demo.Classifier(remotes[0], demo.nn.Linear(64, 10))]),
}
raise SystemExit(demo.main())
"""


@pytest.mark.slow
def test_a_way_with_other_logits_fails_the_demo(tmp_path: Path) -> None:
    """A head that nobody trained gives other logits, and the exit status says so."""
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    code = f"import sys, runpy; sys.argv[1:] = ['--epochs=1', '--out={tmp_path / 'out'}']; "
    done = run("-c", code + f"runpy.run_path({str(script)!r})")
    assert done.returncode == 1, done.stderr
    assert done.stderr == "error: logits differ from the local model's: broken\n"
    assert "generated stub:" in done.stdout


@pytest.mark.slow
def test_help_and_bad_options_need_no_training() -> None:
    """The options are checked before anything is started."""
    shown = run("-m", "examples.digits", "--help")
    assert shown.returncode == 0
    assert all(option in shown.stdout for option in ("--epochs", "--workers", "--out"))
    refused = run("-m", "examples.digits", "--workers=0")
    assert refused.returncode == 2
    assert "must be at least 1" in refused.stderr
