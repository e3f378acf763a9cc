"""Where torch is not installed, source is read as it is elsewhere, or its error says that torch is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import remotemod as rm
from remotemod.interface import absent_torch, locate
from remotemod.interface.source import program as source_program
from remotemod.interface.source import read as read_source
from remotemod.interface.source.program import Program

HEAD = """
import math
from enum import Enum
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import rpc
from torch.nn import *
"""
NAMES = sorted(absent_torch._AS_WRITTEN | set(absent_torch._DEFINED_AS))


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """torch cannot be found any more: the reader's view of an environment without it."""

    def find(module: str, path: tuple[str, ...]) -> Path | None:
        return None if module.partition(".")[0] == "torch" else locate.find_module(module, path)

    monkeypatch.setattr(source_program, "find_module", find)
    return monkeypatch


def read(folder: Path, text: str) -> list[object]:
    """The classes of a file as source shows them, interfaces or errors."""
    file = folder / "user_file.py"
    file.write_text(HEAD + text)
    return list(read_source.read_each_from_source(str(file)))


def both(
    folder: Path, text: str, no_torch: pytest.MonkeyPatch
) -> tuple[list[object], list[object]]:
    """What is read without torch, and with it."""
    without = read(folder, text)
    no_torch.undo()
    return without, read(folder, text)


def test_nn_modules_own_methods_are_known() -> None:
    """The list has at least what this torch's nn.Module has."""
    assert {n for n in vars(nn.Module) if not n.startswith("_")} <= absent_torch.MODULE_METHODS


def test_known_names_mean_what_torchs_source_says(
    tmp_path: Path, no_torch: pytest.MonkeyPatch
) -> None:
    """Each name of the tables, as a type."""
    arguments = "".join(f", a{i}: {name}" for i, name in enumerate(NAMES))
    text = f"class A(nn.Module):\n    def forward(self{arguments}) -> Tensor: ...\n"
    without, present = both(tmp_path, text, no_torch)
    assert len(without) == 1
    assert without == present
    assert isinstance(without[0], rm.Interface)


@pytest.mark.parametrize(
    "text",
    [
        "class A(nn.Module):\n    def forward(self, x: Tensor = torch.zeros(2), y=nn.ReLU()) -> Tensor: ...\n",
        "class A(nn.Module):\n    def forward(self, x=torch.float32, y=math.pi, z=torch.inf) -> Tensor: ...\n",
        "class A(nn.Module):\n    def forward(self, x: rpc.RRef, y=torch.device('cpu')) -> torch.Size: ...\n",
        "class A(nn.Module):\n    def forward(self): ...\n    def state_dict(self): ...\n    def half(self): ...\n",
        "class A(Module):\n    def forward(self, x: Parameter) -> Tensor: ...\n",
        "class A(nn.Module, torch.utils.data.Dataset):\n    def forward(self, x): ...\n",
        "class D(torch.utils.data.Dataset):\n    def forward(self, x): ...\n",
        "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): ...\n",
        "class A(nn.Module):\n    @torch.no_grad()\n    def forward(self, x: Tensor) -> Tensor: ...\n",
        "@torch.jit.interface\nclass A(nn.Module):\n    def forward(self, x: Tensor) -> Tensor:\n        pass\n",
        "try:\n    from torch.nn import Parameter as P\nexcept ImportError:\n    P = int\n"
        "class A(nn.Module):\n    def forward(self, x: P): ...\n",
    ],
)
def test_what_needs_no_source_of_torchs_reads_the_same(
    tmp_path: Path, no_torch: pytest.MonkeyPatch, text: str
) -> None:
    """Defaults, bases, decorators, nn.Module's own methods: equal interfaces."""
    without, present = both(tmp_path, text, no_torch)
    assert without == present


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("class A(nn.LSTM): ...\n", "torch.nn.LSTM"),
        ("class A(nn.Sequential):\n    def forward(self, x): ...\n", "torch.nn.Sequential"),
        ("class B(nn.Module): ...\nclass A(B, nn.Linear): ...\n", "torch.nn.Linear"),
        ("class A(torch.ao.nn.quantized.Linear): ...\n", "torch.ao.nn.quantized.Linear"),
        (
            "class A(nn.Module):\n    def forward(self, x: torch.types.Device): ...\n",
            "torch.types.Device",
        ),
        (
            "N = torch.types.Number\nclass A(nn.Module):\n    def forward(self, x: N): ...\n",
            "torch.types.Number",
        ),
        ("class A(nn.Module):\n    def forward(self, x=F.relu): ...\n", "torch.nn.functional.relu"),
        (
            "class A(nn.Module):\n    def forward(self, x: torch.cuda.Stream): ...\n",
            "torch.cuda.Stream",
        ),
        (
            "class R(torch.return_types.max): ...\nclass A(nn.Module):\n    def forward(self, x: R): ...\n",
            "torch.return_types.max",
        ),
    ],
)
def test_what_only_torchs_source_explains_is_an_error(
    tmp_path: Path, no_torch: pytest.MonkeyPatch, text: str, name: str
) -> None:
    """Named, with file and way out, and never another stub than torch's presence would give."""
    errors = [each for each in read(tmp_path, text) if isinstance(each, rm.InterfaceError)]
    assert errors
    for error in errors:
        assert name in str(error)
        assert "torch is not installed here" in str(error)
        assert "user_file.py" in str(error)
    target = f"{tmp_path / 'user_file.py'}:A"
    with pytest.raises(rm.InterfaceError, match="torch is not installed here"):
        read_source.read_from_source(target)
    no_torch.undo()
    with_torch = [each for each in read(tmp_path, text) if isinstance(each, rm.Interface)]
    assert with_torch  # so an error was right, and not too much


def test_bases_that_are_no_modules_are_none(tmp_path: Path) -> None:
    """What may stand as a base without an error has no nn.Module among its classes."""
    program = Program()
    import importlib
    import inspect

    for prefix in absent_torch._NO_MODULES:
        module, _, name = prefix.rstrip(".").rpartition(".")
        if prefix.endswith("."):
            module, name = prefix.rstrip("."), ""
        found = importlib.import_module(module)
        classes = (
            [getattr(found, name)]
            if name
            else [c for _, c in inspect.getmembers(found, inspect.isclass)]
        )
        assert not [c for c in classes if issubclass(c, nn.Module)], prefix
    assert not program.torch_is_absent
