"""Stubs that were generated into files, imported and used."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import remotemod as rm
from remotemod.stub.versions import STUB_ABI

SOURCE = """
import torch
from torch import Tensor, nn


class Scale(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor, more: float = 1.0) -> Tensor:
        return x * self.by * more
"""


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with a class of its own name, importable here and on workers."""
    name = f"scale_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(name)


def stub_of(scale: ModuleType, folder: Path) -> ModuleType:
    """The generated stub of ``Scale``, imported under a name of its own."""
    (outcome,) = rm.generate(f"{scale.__name__}:Scale", folder)
    assert outcome.path is not None
    spec = importlib.util.spec_from_file_location(f"stub_{scale.__name__}", outcome.path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_generated_class_is_a_remote_module(
    scale: ModuleType, tmp_path: Path, fork_server: None
) -> None:
    """The class from the file places and calls the module."""
    stub = stub_of(scale, tmp_path / "stubs")
    with rm.launch(workers=["w"]):
        remote = stub.RemoteScale("w/cpu", scale.Scale, args=(2.0,))
        assert type(remote) is stub.RemoteScale
        assert remote(torch.ones(1), more=2.0).item() == 4
        assert rm.rpc_sync("w", type, (remote,)).__name__ == "RemoteScale"


def test_an_owner_with_another_interface_is_a_mismatch(
    scale: ModuleType, tmp_path: Path, fork_server: None
) -> None:
    """A stub that is out of date fails when the module is built and says what to run."""
    stub = stub_of(scale, tmp_path / "stubs")
    Path(scale.__file__ or "").write_text(SOURCE.replace("more: float = 1.0", "less: int = 1"))
    with rm.launch(workers=["w"]):
        with pytest.raises(rm.InterfaceMismatch, match=r"remotemod gen scale_.*:Scale -o DIR"):
            stub.RemoteScale("w/cpu", scale.Scale, args=(2.0,))


def test_a_stub_of_another_abi_does_not_load(scale: ModuleType, tmp_path: Path) -> None:
    """An older stub says that it wants to be regenerated, a newer one that remotemod wants an upgrade."""
    (outcome,) = rm.generate(f"{scale.__name__}:Scale", tmp_path / "stubs")
    for abi, side in ((0, "regenerate the stub"), (99, "upgrade remotemod")):
        with pytest.raises(rm.InterfaceMismatch, match=side):
            exec(outcome.text.replace(f"abi={STUB_ABI}", f"abi={abi}"), {"__name__": "stub"})
