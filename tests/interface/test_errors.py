"""Targets that cannot be read say what is wrong, where, and what to do about it; no user code runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from remotemod.errors import InterfaceError
from remotemod.interface.read import read_interface, read_interfaces

MODULE = """
from torch import nn
class Net(nn.Module):
    def forward(self, x): pass
class Bare(nn.Module):
    pass
class Plain:
    pass
def function():
    class Local(nn.Module):
        def forward(self, x: int): pass
    return Local
class Outer:
    class Inner(nn.Module):
        def forward(self): pass
"""


def test_no_user_code_runs(write) -> None:
    """Packages whose files raise are read all the same."""
    boom = "raise RuntimeError('ran')\n"
    package = write(
        init=boom, m=boom + MODULE + "from .other import X\n", other=boom + "class X: pass"
    )
    assert read_interface(f"{package}.m:Net").module == f"{package}.m"
    assert package not in sys.modules


def test_whole_modules_and_files(write, tmp_path) -> None:
    """A module, or its file, gives every class with a forward that it defines."""
    package = write(m=MODULE)
    by_name = read_interfaces(f"{package}.m")
    by_path = read_interfaces(str(tmp_path / package / "m.py"))
    assert by_name == by_path
    assert [i.qualname for i in by_name] == ["Net", "Outer.Inner"]


@pytest.mark.parametrize("name", ["Local", "function.<locals>.Local"])
def test_classes_in_functions(write, name: str) -> None:
    """A class written in a function is found by its plain or its qualified name."""
    interface = read_interface(f"{write(m=MODULE)}.m:{name}")
    assert interface.qualname == "function.<locals>.Local"


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("Bare", 5, "has no forward"),
        ("Plain", 7, "neither an nn.Module"),
        ("function", 9, "is a function"),
        ("Nett", None, "did you mean 'Net'"),
        ("Outer.Iner", None, "did you mean 'Inner'"),
    ],
)
def test_errors_name_the_place_and_the_remedy(write, name, line, words) -> None:
    """Each mistake names file and line and gives a hint."""
    with pytest.raises(InterfaceError, match=words) as caught:
        read_interface(f"{write(m=MODULE)}.m:{name}")
    assert caught.value.line == line
    assert caught.value.file is not None
    assert caught.value.file.endswith("m.py")
    assert caught.value.how


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_package_at_all:Net", "no module named"),
        ("torch.nn.modules.liner:Linear", "did you mean 'linear'"),
        ("torch.nn.Linear", "torch.nn:Linear"),
        ("no/such/file.py:Net", "no file"),
        ("torch._C._jit:Net", "no submodule|no Python source"),
        ("torch.nn:ModuleList", "has no forward"),
        (":Net", "names no module"),
    ],
)
def test_targets_that_do_not_exist(target: str, words: str) -> None:
    """Wrong targets are explained, with the nearest right one."""
    with pytest.raises(InterfaceError, match=words):
        read_interface(target)


def test_syntax_errors_are_placed(write) -> None:
    """A file that does not parse is named with its line."""
    package = write(m="x = 1\n+ = 2\n")
    with pytest.raises(InterfaceError, match=r"m.py:2"):
        read_interface(f"{package}.m:Net")


@pytest.mark.parametrize(
    "target", [nn.Module, nn.ModuleList, nn.ModuleList(), int, 3, nn.ModuleDict]
)
def test_live_targets_without_an_interface(target: object) -> None:
    """Live reading refuses the same things."""
    with pytest.raises(InterfaceError):
        read_interface(target)


@pytest.mark.slow
def test_live_reading_needs_no_parser() -> None:
    """The owner's side reads interfaces without libcst or jinja2."""
    code = (
        "import sys, torch.nn as nn; from remotemod.interface.read import read_interface;"
        "read_interface(nn.Linear); assert not {'libcst', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize(
    "text", ["x = 1\ndef (:\n", "x = 1\nclass :\n", "x = 1\nclass A(B:\n  y\n"]
)
def test_broken_definitions_are_placed(write, text: str) -> None:
    """A definition that is no Python is named with its line, though bodies are not parsed."""
    with pytest.raises(InterfaceError, match=r"m.py:[2-5]"):
        read_interfaces(f"{write(m=text)}.m")


def test_a_forward_set_on_instances_says_how_to_read_it(tmp_path: Path) -> None:
    """Source cannot know what each instance gets; the error says to read an instance."""
    file = tmp_path / "m.py"
    file.write_text(
        "from torch import nn\nclass M(nn.Module):\n    def __init__(self, f):\n"
        "        super().__init__()\n        self.forward = f\n"
    )
    with pytest.raises(InterfaceError, match=r"read_interface\(instance\)"):
        read_interface(f"{file}:M")


def test_type_parameters_are_read_on_any_python(tmp_path: Path) -> None:
    """``class A[T]``, ``def forward[S]`` and ``type X = …`` give types."""
    file = tmp_path / "m.py"
    file.write_text(
        "from torch import Tensor, nn\ntype Pairs = list[tuple[Tensor, int]]\n"
        "class A[T: Tensor](nn.Module):\n"
        "    def forward[S](self, x: T, y: S, z: Pairs) -> list[T]: ...\n"
    )
    forward = read_interface(f"{file}:A").method("forward")
    assert str(forward.arguments[2].type) == "List[Tuple[Tensor, int]]"
