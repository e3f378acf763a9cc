"""Stubs of other ABIs fail as they are imported, and name the command that regenerates them."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

import remotemod.abi
from remotemod.codegen.render import render
from remotemod.errors import InterfaceMismatch
from remotemod.interface.read import read_interface
from remotemod.stub.loader import load_stub
from remotemod.stub.versions import STUB_ABI
from tests.codegen.conftest import GOLDEN

OLD = sorted((GOLDEN / "old_stubs").glob("*.txt"))
"""Stubs as older generators wrote them: their names say for which ABI."""


def imported(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A stub as a program imports it."""
    (folder / "remote_old.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "remote_old", raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("remote_old")


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_an_older_stub_names_its_command(
    path: Path, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it imports: names that are gone, or such as are still there."""
    text = path.read_text(encoding="utf-8")
    target = re.search(r"# regenerate: (remotemod gen .+)\n", text)
    assert target is not None
    expected = (
        f"stub ABI {path.stem[3]}, and this remotemod runs ABI {STUB_ABI}; "
        f"regenerate the stub: {target[1]}"
    )
    with pytest.raises(InterfaceMismatch, match=re.escape(expected)):
        imported(text, tmp_path, monkeypatch)
    assert "remote_old" not in sys.modules
    with pytest.raises(InterfaceMismatch, match=re.escape(expected)):
        load_stub(text)


def test_old_stubs_are_of_both_kinds() -> None:
    """Some import names that are gone, and others reach their declaration."""
    assert len(OLD) == 5
    gone = [
        path.stem for path in OLD if "LEFT_OUT" in path.read_text() or "RRef" in path.read_text()
    ]
    assert set(gone) < {path.stem for path in OLD}


def test_a_newer_stub_asks_for_an_upgrade(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may declare what this remotemod does not know, and import such names."""
    text = render(read_interface("plain.py:Plain"))
    newer = text.replace(f"abi={STUB_ABI},", f"abi={STUB_ABI + 1},\n    colour=3,")
    for stub in (newer, newer.replace("import Future", "import Colour, Future")):
        with pytest.raises(InterfaceMismatch, match=r"upgrade .* remotemod gen plain:Plain -o DIR"):
            imported(stub, tmp_path, monkeypatch)


def test_the_command_has_the_flags_of_the_stub(golden: Path) -> None:
    """Regenerated, a stub is of the same form."""
    interface = read_interface("plain.py:Plain")
    asked = {
        "": render(interface),
        " --eager": render(interface, form="eager"),
        " --no-device-moves": render(interface, device_moves=False),
        " --eager --no-device-moves": render(interface, form="eager", device_moves=False),
    }
    for flags, text in asked.items():
        assert f"# run: remotemod gen plain:Plain -o DIR{flags}\n" in text


def test_other_code_gets_the_usual_error() -> None:
    """A name that is not there is an ImportError or an AttributeError to everybody else."""
    with pytest.raises(ImportError, match="LEFT_OUT"):
        exec("from remotemod.abi import LEFT_OUT")
    assert not hasattr(remotemod.abi, "given")
