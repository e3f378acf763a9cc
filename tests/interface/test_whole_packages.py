"""Whole packages are walked without running them, and targets are imported where that is asked for."""

from __future__ import annotations

import sys

import pytest

from remotemod.errors import InterfaceError
from remotemod.interface.read import read_interface, read_interfaces
from remotemod.interface.source.discover import walk_package

MODULE = "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x): pass\n"


def test_a_package_is_walked_without_running_it(write) -> None:
    """Each readable module is a target; what is no Python of today says why it is left out."""
    package = write(
        init="raise RuntimeError\n",
        a=MODULE,
        old="class A: pass\nprint 'x'\n",
        tpl="class {{ name }}: pass\n",
        none="def f(): pass\n",
    )
    found = walk_package(package)
    walked = {w.target: w.skipped for w in found}
    assert list(walked) == [
        package,
        *(f"{package}.{name}" for name in ("a", "none", "old", "tpl")),
    ]
    assert [w.target for w in found if w.empty] == [package, f"{package}.none"]
    assert not walked[f"{package}.a"]
    assert "cannot parse" in walked[f"{package}.old"]
    assert walked[f"{package}.tpl"]
    assert package not in sys.modules


def test_a_folder_is_walked_by_its_files(write, tmp_path) -> None:
    """A folder that is no package gives paths, and each can be read."""
    write(a=MODULE)
    walked = walk_package(str(tmp_path))
    assert [len(read_interfaces(w.target)) for w in walked] == [0, 1]


def test_a_plain_module_gives_itself(write) -> None:
    """A target that is no package is the only one."""
    package = write(a=MODULE)
    assert [w.target for w in walk_package(f"{package}.a")] == [f"{package}.a"]


def test_a_target_is_imported_when_asked(write) -> None:
    """Live reading of text finds what only the run shows."""
    package = write(a=MODULE + "Made = type('Made', (Net,), {})\nmade = Net()\n")
    assert read_interface(f"{package}.a:Made", live=True).name == "Made"
    assert read_interface(f"{package}.a:made", live=True).name == "Net"
    assert [i.name for i in read_interfaces(f"{package}.a", live=True)] == ["Net", "Made"]


@pytest.mark.parametrize(
    ("name", "words"), [("bad", "ValueError: no luck"), ("a:Nett", "has no Nett")]
)
def test_an_import_that_fails_says_why(write, name: str, words: str) -> None:
    """The reason of the failure reaches the message."""
    package = write(a=MODULE, bad="raise ValueError('no luck')\n")
    with pytest.raises(InterfaceError, match=words):
        read_interface(f"{package}.{name}", live=True)
