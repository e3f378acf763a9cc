"""The programs over torch's RPC, run as a stranger runs them, and one of them with torch's own RemoteModule."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.examples.strangers import ROOT
from tests.isolation import processes_with, started
from tests.preloaded import programs

FOLDER = ROOT / "examples" / "torch_rpc"
OURS = "from remotemod import RemoteModule  # was: from torch.distributed.nn import RemoteModule"
TORCHS = "from torch.distributed.nn import RemoteModule"
PROGRAMS = ["hybrid_ddp", "parameter_server", "pipeline"]

# What DistributedOptimizer says of its own functional optimizers, past all filters.
OF_TORCH = ("`TorchScript` support for functional optimizers", "optim = _ScriptLocalOptimizer(")


class Done(NamedTuple):
    status: int
    out: str
    err: str


def run(program: str, *arguments: str, folder: Path, root: Path = ROOT) -> Done:
    """Runs a program to the end of every process that it started, or ends them after a minute and a half."""
    mark = f"REMOTEMOD_TEST={uuid.uuid4().hex}"
    environment = {**os.environ, **dict([mark.split("=")])}
    out, err = folder / "out", folder / "err"
    with out.open("w") as out_file, err.open("w") as err_file:
        started = subprocess.Popen(
            [sys.executable, "-m", f"examples.torch_rpc.{program}", *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err_file,
            start_new_session=True,
        )
    try:
        status = started.wait(90)
        until = time.monotonic() + 30
        while (left := processes_with(mark)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not left, "the program left processes behind"
    finally:
        with contextlib.suppress(ProcessLookupError):  # there is none, as it should be
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    lines = err.read_text().splitlines()
    said = [line for line in lines if not any(part in line for part in OF_TORCH)]
    return Done(status, out.read_text(), "\n".join(said))


@pytest.mark.slow
def test_trainers_share_a_remote_table_and_keep_their_heads_in_step(tmp_path: Path) -> None:
    """DDP and a remote module in one distributed backward pass; the program itself compares the heads."""
    done = run("hybrid_ddp", "--steps=40", folder=tmp_path)
    assert (done.status, done.err) == (0, "")
    first, *trainers, last = done.out.splitlines()
    assert (first, last) == ("the table is on ps", "heads: the same in all trainers")
    found = [re.fullmatch(r"trainer\d: loss (.+) -> (.+), accuracy (.+)%", t) for t in trainers]
    assert len(found) == 2
    for line in found:
        assert line is not None
        assert float(line[2]) < float(line[1])
        assert float(line[3]) > 40


@pytest.mark.slow
def test_trainers_train_one_remote_model_at_once(tmp_path: Path) -> None:
    """Handles that were sent, and handles made of a reference that was sent."""
    done = run("parameter_server", "--steps=60", folder=tmp_path)
    assert (done.status, done.err) == (0, "")
    first, *trainers, together, accuracy = done.out.splitlines()
    assert first == "the model is on ps"
    assert [line.split(":")[0] for line in trainers] == [
        "trainer0, by handle",
        "trainer1, by reference",
        "trainer2, by handle",
    ]
    assert together.startswith("together: 180 steps in ")
    assert float(accuracy.split()[-1].rstrip("%")) > 40


def table(output: str) -> dict[str, list[str]]:
    """The rows of the pipeline's results: the way, then losses and accuracy, without the time."""
    rows = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    return {row[0]: row[1:-1] for row in rows if len(row) == 5}


@pytest.mark.slow
def test_a_pipeline_trains_as_one_process_does_and_as_with_torchs_own_class(tmp_path: Path) -> None:
    """The program compares the ways; here it also runs with the import that it had before."""
    done = run("pipeline", "--steps=3", folder=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "losses and logits: the same in all ways"
    ours = table(done.out)
    assert list(ours) == ["one process", *(f"pipeline, micro-batches: {n}" for n in (1, 4))]

    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    program = tmp_path / "examples" / "torch_rpc" / "pipeline.py"
    program.write_text(program.read_text().replace(OURS, TORCHS))
    done = run("pipeline", "--steps=3", "--micro-batches=1", folder=tmp_path, root=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert table(done.out).items() <= ours.items()


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_import_is_all_that_changed(program: str) -> None:
    """Nothing else in a program names remotemod, and it can be read in one go."""
    text = (FOLDER / f"{program}.py").read_text()
    assert text.count(OURS) == 1
    assert "remotemod" not in text.replace(OURS, "")
    assert len(text.splitlines()) <= 180


@pytest.mark.slow
def test_bad_options_start_nothing() -> None:
    """The options are checked before any process is started."""
    command = ["-m", "examples.torch_rpc.pipeline", "--micro-batches=0"]
    before = set(started())
    done = programs.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "must be at least 1" in done.stderr
    assert set(started()) - before <= {programs.server_pid()}
