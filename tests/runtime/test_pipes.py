"""A stranger's backend passes the whole contract: an installed distribution, found by its entry point."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing import BackendConformance

SOURCE = Path(__file__).parent.parent / "backends_of_others" / "pipes"


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The distribution, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target"]
    install = [sys.executable, "-m", "pip", "install", *options, folder / "site", source]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        yield folder / "site"
    sys.modules.pop("remotemod_pipes", None)
    resource_tracker._resource_tracker._stop()  # multiprocessing's own process, which would stay till the end


def test_it_is_small(installed: Path) -> None:
    """An afternoon's work: at most 120 lines."""
    assert len((installed / "remotemod_pipes.py").read_text().splitlines()) <= 120


def test_it_is_listed(installed: Path) -> None:
    """An unknown backend's error names it, because it is installed."""
    with pytest.raises(rm.BackendUnavailable, match="pipes"):
        rm.launch(backend="no such thing")


@pytest.mark.slow
class TestPipes(BackendConformance):
    """The contract, over pipes."""

    backend = "pipes"


@pytest.mark.slow
def test_a_killed_worker_fails_its_calls_alone() -> None:
    """Calls under way end with WorkerLost, and the other worker goes on."""
    with rm.launch(["doomed", "other"], backend="pipes") as cluster:
        pid = rm.rpc_sync("doomed", os.getpid)
        future = rm.rpc_async("doomed", time.sleep, (60,))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(rm.WorkerLost, match="doomed"):
            future.wait(30)
        with pytest.raises(rm.WorkerLost, match="doomed"):
            rm.rpc_sync("doomed", os.getpid)
        assert cluster.ping("other", timeout=30) > 0


def gradient_of(module: Any, x: torch.Tensor) -> torch.Tensor:
    """A training step of one worker with another one's module."""
    x = x.detach().requires_grad_()
    module(x).sum().backward()
    return x.grad


@pytest.mark.slow
def test_workers_train_each_others_modules() -> None:
    """A handle that was passed on takes part in the receiver's own backward."""
    with rm.launch(["one", "two"], backend="pipes"):
        remote = rm.RemoteModule("one", nn.Linear, args=(3, 1))
        x = torch.ones(2, 3)
        weight = remote.state_dict()["weight"]
        assert torch.equal(rm.rpc_sync("two", gradient_of, (remote, x)), weight.expand(2, 3))
