"""``torch.jit.load`` and remotemod, in whichever order they come."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.torch_hooks import prepare_torch

X = torch.tensor([[1.0, -2.0, 0.5]])


def test_torchs_own_function_loads_archives(
    inproc: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """From a path and from a file that begins somewhere; the part is the newest one of its name."""
    part = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
    rm.export(zoo.One(part), tmp_path / "one.pt")
    expected = zoo.One(part)(X)
    assert torch.equal(torch.jit.load(str(tmp_path / "one.pt"))(X), expected)
    file = io.BytesIO(b"before" + (tmp_path / "one.pt").read_bytes())
    file.seek(6)
    extra = {"remotemod/manifest.json": ""}
    assert torch.equal(torch.jit.load(file, _extra_files=extra)(X), expected)
    assert b'"head"' in extra["remotemod/manifest.json"]
    part = rm.RemoteModule("ps1/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
    part.add(4)
    assert torch.jit.load(tmp_path / "one.pt").head.total() == 4


def test_other_files_are_left_to_torch(tmp_path: Path) -> None:
    """Its errors are its own, and archives without remote parts load as ever."""
    original = inspect.unwrap(torch.jit.load)
    (tmp_path / "text.pt").write_text("nothing")
    for bad in (tmp_path / "none.pt", tmp_path / "text.pt", tmp_path):
        with pytest.raises((ValueError, RuntimeError)) as theirs:
            original(bad)
        with pytest.raises(type(theirs.value)) as ours:
            torch.jit.load(bad)
        assert str(ours.value) == str(theirs.value)
    module = torch.jit.script(nn.Linear(3, 3))
    torch.jit.save(module, tmp_path / "plain.pt")
    assert torch.equal(torch.jit.load(tmp_path / "plain.pt", map_location="cpu")(X), module(X))


def test_preparing_twice_is_once() -> None:
    """The function is wrapped once, and shows torch's signature and text."""
    before = torch.jit.load
    prepare_torch()
    assert torch.jit.load is before
    assert torch.jit._serialization.load is before
    assert inspect.signature(before) == inspect.signature(inspect.unwrap(before))
    assert before.__doc__ == inspect.unwrap(before).__doc__


def test_looking_for_torch_does_not_import_it() -> None:
    """Many programs ask whether torch is installed; the next import is still noticed."""
    code = (
        "import sys, importlib.util, remotemod;"
        "before = list(sys.meta_path);"
        "assert importlib.util.find_spec('torch').name == 'torch';"
        "assert 'torch' not in sys.modules and sys.meta_path == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["torch", "remotemod"])
def test_either_may_be_imported_first(
    first: str, inproc: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """The archive loads, and nothing of ours stays among the finders; the part's absence is said at the call."""
    part = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
    rm.export(zoo.One(part), tmp_path / "one.pt")
    second = "remotemod" if first == "torch" else "torch"
    code = (
        f"import {first}, {second}, sys, torch, warnings; warnings.simplefilter('ignore')\n"
        "assert not [f for f in sys.meta_path if 'remotemod.' in type(f).__module__]\n"
        "assert 'exec_module' not in vars(torch.__spec__.loader)\n"
        f"model = torch.jit.load({str(tmp_path / 'one.pt')!r})\n"
        "try:\n    model(torch.ones(1, 3))\n"
        "except RuntimeError as error:\n    assert \"no remote module is called 'head'\" in str(error)\n"
        "else:\n    raise SystemExit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
