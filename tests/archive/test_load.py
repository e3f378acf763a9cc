"""What ``rm.load`` finds, and what it says at once where something is missing or does not fit."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from remotemod.stub.versions import STUB_ABI

X = torch.tensor([[1.0, -2.0, 0.5]])


def several(zoo: ModuleType, name: str | None = "head", **options: Any) -> rm.RemoteModule:
    return rm.RemoteModule(
        "ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name=name, **options
    )


@pytest.fixture
def kept(inproc: rm.Cluster, zoo: ModuleType) -> list[rm.RemoteModule]:
    """The parts of the archive, which live as long as the test."""
    tail = rm.RemoteModule("ps1/cpu", zoo.NamedModule, interface=zoo.Named, name="tail")
    return [several(zoo), tail]


@pytest.fixture
def archive(kept: list[rm.RemoteModule], zoo: ModuleType, tmp_path: Path) -> Path:
    """A model with a part twice and another one."""
    rm.export(zoo.Model(*kept), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def rewritten(archive: Path, change: Callable[[dict], object]) -> Path:
    """A copy of an archive with another manifest."""
    copy = archive.with_name("copy.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(copy, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith("manifest.json"):
                manifest = json.loads(data)
                change(manifest)
                data = json.dumps(manifest).encode()
            new.writestr(item.filename, data)
    return copy


def test_parts_are_found_wherever_they_are(
    archive: Path, inproc: rm.Cluster, zoo: ModuleType, kept: list[rm.RemoteModule]
) -> None:
    """By name alone: after new ones were built, on another worker, the loaded model calls those."""
    expected = rm.load(archive)(X)
    kept[0] = rm.RemoteModule("ps1/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
    again = rm.load(archive)(X)
    assert torch.equal(again[0], expected[0])
    kept[0].add(5)
    assert rm.load(archive).again.total() == 5


def test_all_missing_parts_are_named_at_once(archive: Path, kept: list[rm.RemoteModule]) -> None:
    """Each with its submodules, where it was, and how to build it."""
    kept.clear()
    with rm.launch(workers=["other"], backend="inproc") as other:
        with pytest.raises(rm.PlacementError) as caught:
            rm.load(archive)
        text = str(caught.value)
        assert f"{archive}: 2 remote parts are missing: {other!r} has none of" in text
        assert "'head' (submodule 'head', 'again', was on 'ps0'); build it there" in text
        assert "'tail' (submodule 'tail', was on 'ps1')" in text
        assert "rm.RemoteModule('ps0/cpu', …, interface=Several, name='head')" in text


def test_an_automatic_name_is_explained(inproc: rm.Cluster, zoo: ModuleType) -> None:
    """A part without name= is found while it lives, and then the message says what to do."""
    file, part = io.BytesIO(), several(zoo, None)
    rm.export(zoo.One(part), file)
    file.seek(0)
    assert torch.equal(rm.load(file)(X), zoo.One(part)(X))
    with rm.launch(workers=["other"], backend="inproc"):
        file.seek(0)
        with pytest.raises(rm.PlacementError, match=r"build it with name=…, and export again"):
            rm.load(file)


def test_the_cluster_can_be_named(archive: Path, inproc: rm.Cluster, zoo: ModuleType) -> None:
    """Two clusters with parts of the same name: each model keeps calling the one that it was loaded with."""
    with rm.launch(workers=["ps0", "ps1"], backend="inproc") as other:
        mine, tail = several(zoo, cluster=other), zoo.NamedModule
        kept = rm.RemoteModule("ps1/cpu", tail, interface=zoo.Named, name="tail", cluster=other)
        there, here = rm.load(archive, cluster=other), rm.load(archive, cluster=inproc)
        mine.add(3)
        assert there.head.total() == 3
        assert there.again.total() == 3
        assert here.head.total() == 0
        assert kept.on == "ps1"


def test_other_parts_can_be_given(
    archive: Path, inproc: rm.Cluster, zoo: ModuleType, kept: list[rm.RemoteModule]
) -> None:
    """A handle takes the place of a name, for this model alone; what does not fit is refused."""
    other = several(zoo, None)
    other.add(9)
    assert rm.load(archive, parts={"head": other}).again.total() == 9
    assert rm.load(archive).again.total() == 0
    with pytest.raises(rm.InterfaceMismatch, match="'head'"):
        rm.load(archive, parts={"head": kept[1]})
    with pytest.raises(
        rm.ArchiveError, match="parts= names 'nose', but the model has 'head', 'tail'"
    ):
        rm.load(archive, parts={"nose": other})
    with pytest.raises(rm.ArchiveError, match=r"for 'head' a Linear .*archive_zoo:Several"):
        rm.load(archive, parts={"head": nn.Linear(1, 1)})


def test_a_changed_interface_is_refused(
    archive: Path, zoo: ModuleType, kept: list[rm.RemoteModule]
) -> None:
    """Both digests are named, and what to do if one or the other is right."""
    old = several(zoo)._client.stub.declaration.digest
    kept[0] = rm.RemoteModule("ps0/cpu", zoo.NamedModule, interface=zoo.Named, name="head")
    new = kept[0]._client.stub.declaration.digest
    with pytest.raises(rm.InterfaceMismatch) as caught:
        rm.load(archive)
    assert (
        f"'head' (submodule 'head', 'again') was exported with the interface archive_zoo:Several, digest {old}"
        in str(caught.value)
    )
    assert f"archive_zoo:Named, digest {new}" in str(caught.value)
    assert "export the model again" in str(caught.value)


@pytest.mark.parametrize("load", [rm.load, torch.jit.load])
def test_another_abi_is_refused(archive: Path, load: Callable[[Any], Any]) -> None:
    """The message says both numbers, and which side to renew."""
    older = rewritten(archive, lambda m: m.update(abi=STUB_ABI - 1))
    with pytest.raises(
        rm.InterfaceMismatch, match=rf"stub ABI {STUB_ABI - 1}.*export the model again"
    ):
        load(str(older))
    newer = rewritten(archive, lambda m: m.update(abi=STUB_ABI + 1))
    with pytest.raises(rm.InterfaceMismatch, match=rf"ABI {STUB_ABI}; upgrade remotemod here"):
        load(str(newer))
    later = rewritten(archive, lambda m: m.update(format=2, parts=[{"other": 1}]))
    with pytest.raises(rm.InterfaceMismatch, match=r"in format 2, .* reads format 1; upgrade"):
        load(str(later))


def test_a_damaged_manifest_is_an_error(archive: Path) -> None:
    """Whatever is wrong with it."""
    for change in (
        lambda m: m.pop("parts"),
        lambda m: m["interfaces"][0].update(digest="../../x"),
        lambda m: m["interfaces"][0]["methods"][0].update(arguments="Nonsense[] x"),
        lambda m: m["parts"][0].update(more=1),
    ):
        with pytest.raises(rm.ArchiveError, match=r"damaged.*export the model again"):
            rm.load(rewritten(archive, change))


def test_what_is_no_archive_is_an_error(archive: Path, tmp_path: Path) -> None:
    """A text, half an archive, a zip of something else, and no file."""
    (tmp_path / "text.pt").write_text("nothing")
    (tmp_path / "half.pt").write_bytes(archive.read_bytes()[:2000])
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as other:
        other.writestr("a.txt", "a")
    for name in ("text.pt", "half.pt", "zip.pt"):
        with pytest.raises(rm.ArchiveError, match=name):
            rm.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        rm.load(tmp_path / "none.pt")


def test_torchs_own_archives_load_too(tmp_path: Path) -> None:
    """One without remote parts needs no cluster."""
    module = torch.jit.script(nn.Linear(3, 3))
    torch.jit.save(module, tmp_path / "plain.pt")
    assert torch.equal(rm.load(tmp_path / "plain.pt")(X), module(X))
    assert torch.equal(rm.load(io.BytesIO((tmp_path / "plain.pt").read_bytes()))(X), module(X))


def test_a_part_in_this_process_is_found(zoo: ModuleType) -> None:
    """No cluster need be open for a part that was placed here."""
    part = rm.RemoteModule("cpu", zoo.SeveralModule, interface=zoo.Several, name="here")
    file = io.BytesIO()
    rm.export(zoo.One(part), file)
    file.seek(0)
    assert torch.equal(rm.load(file)(X), zoo.One(part)(X))
