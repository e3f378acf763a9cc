"""What ``remotemod gen`` writes with device moves, imported and run on the device."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import remotemod as rm
from tests.gpu import zoo
from tests.gpu.devices import assert_came_back

X = torch.arange(8.0).view(2, 4)


def generated(folder: Path, name: str, *options: str) -> ModuleType:
    """The module that the command writes for a class of the zoo."""
    command = [sys.executable, "-m", "remotemod", "gen", f"{zoo.__file__}:{name}", "-o", folder]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.py")
    spec = importlib.util.spec_from_file_location(f"gpu_stub_{name}_{len(options)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("form", ["--eager", "--scripted"])
def test_a_generated_stub_moves(
    workers: rm.Cluster, device: str, tmp_path: Path, form: str
) -> None:
    """The written moves take CPU tensors to the device and bring results back, method by method."""
    name = "Results" if form == "--eager" else "ResultsInterface"
    stub = generated(tmp_path, name, "--device-moves", form)
    text = Path(stub.__file__ or "").read_text()
    assert ".to(device)" in text
    assert "to_caller(" in text
    remote = getattr(stub, f"Remote{name}")(f"one/{device}", zoo.Results)
    local = zoo.Results().to(device)
    there = X.to(device)
    with torch.no_grad():
        assert_came_back(remote(X), local(there))
        assert_came_back(remote.pair(X), local.pair(there))
        assert_came_back(remote.mixed(X, 2), local.mixed(there, 2))
        assert_came_back(remote.table({"a": X}), local.table({"a": there}))
        assert_came_back(remote.maybe(X), local.maybe(there))
        assert remote.maybe(None) is None
        assert_came_back(remote.point(X), local.point(there))
        assert_came_back(remote.nested([{"x": X}]), local.nested([{"x": there}]))
        assert_came_back(remote.rows_async(X).wait(), local.rows(there))
        assert remote.count(X) == 8
        if form == "--scripted":
            assert_came_back(torch.jit.script(remote)(X), local(there))


def test_a_stub_without_moves_moves_nothing(
    workers: rm.Cluster, device: str, tmp_path: Path
) -> None:
    """``--no-device-moves`` is for modules on the CPU: on another device they are told what they are not."""
    stub = generated(tmp_path, "Results", "--no-device-moves", "--eager")
    assert ".to(device)" not in Path(stub.__file__ or "").read_text()
    with torch.no_grad():
        found = stub.RemoteResults("one/cpu", zoo.Results)(X)
        torch.testing.assert_close(found, zoo.Results()(X))
        if device != "cpu":
            with pytest.raises(RuntimeError, match="device"):
                stub.RemoteResults(f"one/{device}", zoo.Results)(X)
