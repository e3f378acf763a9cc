"""Archives between programs that share no parent: each opens its cluster itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import torch

import remotemod as rm
from tests.archive import fresh
from tests.archive.conftest import USER_CODE
from tests.archive.roles import X
from tests.archive.test_fresh_process import local_model
from tests.preloaded.programs import Program

ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def program(role: str, folder: Path, *more: str, user_code: bool = True):
    """A running program of ``roles``; it is ended if the test fails."""
    env = {**os.environ, "PYTHONPATH": USER_CODE if user_code else ""}
    process = Program(
        ["-m", "tests.archive.roles", role, str(folder), *more],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def answer(process: Program) -> str:
    """What a program says that its model answered."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-3000:]
    return next(line for line in out.splitlines() if line.startswith("answer"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["inproc", "shm"])
def test_parts_built_anew_by_name_answer_the_same(
    backend: str, inproc: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """A second process launches a cluster of its own and builds the parts with the same weights."""
    head = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
    tail = rm.RemoteModule("ps1/cpu", zoo.NamedModule, interface=zoo.Named, name="tail")
    rm.export(zoo.Model(head, tail), tmp_path / "model.pt")
    with torch.no_grad():
        expected = fresh.plain(local_model(zoo)(X))
    with program("own_cluster", tmp_path, backend) as process:
        assert answer(process) == f"answer {expected}"


@pytest.mark.slow
def test_a_member_of_an_rpc_group_loads_what_another_has_built(
    zoo: ModuleType, tmp_path: Path
) -> None:
    """Both call ``init_rpc``; one has built the parts, the other loads the model without user code."""
    with (
        program("builder", tmp_path) as builder,
        program("loader", tmp_path, user_code=False) as loader,
    ):
        found = answer(loader)
        _, err = builder.communicate(timeout=60)
        assert builder.returncode == 0, err[-3000:]
    x = X.clone().requires_grad_()
    y = local_model(zoo)(x)
    y[0].sum().backward()
    assert found == f"answer {fresh.plain((y, x.grad))}"
