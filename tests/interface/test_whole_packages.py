"""Whole packages are walked without running them, and targets are imported where that is asked for."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from remotemod.codegen.targets import find_interfaces
from remotemod.errors import InterfaceError
from remotemod.interface import locate
from remotemod.interface.read import read_interface, read_interfaces
from remotemod.interface.source import discover, program
from remotemod.interface.source import read as source_read
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


@pytest.mark.parametrize("whole", [True, False], ids=["package", "class"])
def test_nothing_is_looked_up_or_read_twice(write, monkeypatch, whole: bool) -> None:
    """From a target to its interfaces a target is located once, and each file is read once."""
    package = write(a=MODULE, b=f"from .a import Net\n{MODULE.replace('Net', 'Own')}")
    target = package if whole else f"{package}.a:Net"
    located, read = Counter(), Counter()

    def counted(function, counter, by):
        def count(*args):
            counter[by(*args)] += 1
            return function(*args)

        return count

    counting = counted(locate.locate, located, str)
    for module in (locate, discover, source_read):
        monkeypatch.setattr(module, "locate", counting)
    reading = counted(program.read_source_file, read, lambda module, file: file)
    monkeypatch.setattr(program, "read_source_file", reading)
    found = list(find_interfaces(target))
    assert [f.target for f in found] == (
        [f"{package}.a:Net", f"{package}.b:Own"] if whole else [target]
    )
    assert set(located.values()) == set(read.values()) == {1}
    assert {"a.py", *(["b.py"] if whole else [])} <= {file.name for file in read}
