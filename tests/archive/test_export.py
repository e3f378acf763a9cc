"""What ``rm.export`` writes, what it refuses, and that it changes nothing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.testing.scripts import Doubler, DoublerInterface, Hybrid

X = torch.tensor([[1.0, -2.0, 0.5]])


def part(zoo: ModuleType, name: str | None = "head") -> rm.RemoteModule:
    return rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name=name)


def manifest(file: object) -> dict:
    with zipfile.ZipFile(file) as archive:
        (found,) = (n for n in archive.namelist() if n.endswith("remotemod/manifest.json"))
        return json.loads(archive.read(found))


def test_the_archive_names_its_parts(inproc: rm.Cluster, zoo: ModuleType, tmp_path: Path) -> None:
    """Where each part is, what it is called, its interface and its stub's source; the same as is returned."""
    head, tail = part(zoo), rm.RemoteModule("ps1/cpu", zoo.NamedModule, interface=zoo.Named)
    parts = rm.export(zoo.Model(head, tail), tmp_path / "model.pt")
    found = manifest(tmp_path / "model.pt")
    assert [p.name for p in parts] == ["head", tail._ref]
    assert [p["submodules"] for p in found["parts"]] == [["head", "again"], ["tail"]]
    assert [p.named for p in parts] == [True, False]
    assert found["parts"][0]["source"] == "archive_zoo:Several"
    assert found["parts"][0]["worker"] == "ps0"
    assert [p["digest"] for p in found["parts"]] == [i["digest"] for i in found["interfaces"]]
    with zipfile.ZipFile(tmp_path / "model.pt") as archive:
        stub = archive.read(f"model/extra/{found['interfaces'][0]['stub']}").decode()
    assert stub == head._client.stub.text


def test_the_model_is_left_as_it_was(inproc: rm.Cluster, zoo: ModuleType) -> None:
    """No submodule is another one afterwards, and the model still answers."""
    model = zoo.One(part(zoo))
    before = dict(vars(model)), dict(model._modules)
    result = model(X)
    rm.export(model, io.BytesIO())
    assert (dict(vars(model)), dict(model._modules)) == before
    assert torch.equal(model(X), result)


def test_scripted_models_are_saved_as_they_are(inproc: rm.Cluster) -> None:
    """A model that was scripted before, and a scripted remote module."""
    remote = rm.RemoteModule("ps0/cpu", Doubler, interface=DoublerInterface, name="doubler")
    model, alone = torch.jit.script(Hybrid(remote)), torch.jit.script(remote)
    for scripted, args in ((model, (X,)), (alone, (X, 2))):
        file = io.BytesIO()
        (found,) = rm.export(scripted, file)
        assert found.name == "doubler"
        file.seek(0)
        assert torch.equal(rm.load(file)(*args), scripted(*args))
        file.seek(0)
        assert torch.equal(rm.load(file, parts={"doubler": alone})(*args), scripted(*args))


def test_a_part_is_whole_by_itself_and_typed_in_a_model(
    inproc: rm.Cluster, zoo: ModuleType
) -> None:
    """An archive of the part alone has all methods, also after a model that needs some of them was exported."""
    head = part(zoo)
    rm.export(zoo.One(head), io.BytesIO())
    file = io.BytesIO()
    rm.export(head, file)
    file.seek(0)
    assert len(rm.load(file).encode_async(X, 2).wait()) == 2


def test_a_model_without_remote_parts_is_a_plain_archive(tmp_path: Path) -> None:
    """Nothing is added to it."""
    assert rm.export(nn.Linear(3, 3), tmp_path / "plain.pt") == ()
    with zipfile.ZipFile(tmp_path / "plain.pt") as archive:
        assert not [n for n in archive.namelist() if "extra" in n]


def test_a_part_without_interface_is_refused(inproc: rm.Cluster, zoo: ModuleType) -> None:
    """The message says which submodule, and what to pass."""
    model = nn.Sequential(nn.Linear(3, 3), rm.RemoteModule("ps0/cpu", nn.Linear, (3, 3)))
    with pytest.raises(rm.InterfaceError, match=r"submodule '1'.*interface\n.*pass interface="):
        rm.export(model, io.BytesIO())


def test_classes_of_the_users_are_refused(inproc: rm.Cluster, zoo: ModuleType) -> None:
    """An enum is nothing that another process could make."""
    coloured = rm.RemoteModule("ps0/cpu", zoo.ColouredModule, interface=zoo.Coloured)
    with pytest.raises(
        rm.InterfaceError, match=r"Coloured\.forward: 'colour' of the model .*Colour"
    ):
        rm.export(coloured, io.BytesIO())


def test_names_that_torch_cannot_read_again_are_refused(
    inproc: rm.Cluster, zoo: ModuleType
) -> None:
    """It would save them, and fail to load the file."""
    foreign = rm.RemoteModule("ps0/cpu", zoo.ForeignModule, interface=zoo.Foreign)
    with pytest.raises(rm.InterfaceError, match=r"'länge' of the model is not ASCII.*\n.*rename"):
        rm.export(foreign, io.BytesIO())


def test_a_loaded_part_is_not_exported_again(inproc: rm.Cluster, zoo: ModuleType) -> None:
    """What it would need is in the file that it came from."""
    file, kept = io.BytesIO(), part(zoo)
    rm.export(zoo.One(kept), file)
    file.seek(0)
    with pytest.raises(rm.ArchiveError, match=r"'head' is a remote part that was loaded.*copy"):
        rm.export(rm.load(file), io.BytesIO())


def test_only_modules_are_exported() -> None:
    """A function is none."""
    with pytest.raises(TypeError, match=r"saves an nn\.Module; got function"):
        rm.export(lambda x: x, io.BytesIO())  # type: ignore[arg-type]


def test_a_failure_leaves_what_was_there(
    inproc: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """Neither a half file nor a folder of ours stays behind."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"before")

    class Bad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = part(zoo)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x) + does_not_exist(x)  # noqa: F821

    with pytest.raises(RuntimeError, match="does_not_exist"):
        rm.export(Bad(), path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        rm.export(nn.Linear(1, 1), tmp_path / "none" / "model.pt")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        rm.export(nn.Linear(1, 1), tmp_path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_handle_is_scripted_whole_after_it_was_a_typed_submodule(
    inproc: rm.Cluster, zoo: ModuleType
) -> None:
    """What TorchScript compiled for a parent's interface does not stand for the handle itself."""
    head = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several)
    tail = rm.RemoteModule("ps1/cpu", zoo.NamedModule, interface=zoo.Named)
    torch.jit.script(zoo.Model(head, tail))
    scripted = torch.jit.script(head)
    x = torch.ones(1, 3)
    assert torch.equal(scripted.forward_async(x).wait(), head(x))
