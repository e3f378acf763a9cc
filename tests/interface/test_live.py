"""Live reading sees what only the running program knows: instances, locals, compiled modules."""

from __future__ import annotations

import inspect
from typing import NamedTuple

import torch
from torch import Tensor, nn

from remotemod.interface.live.read import live_signatures
from remotemod.interface.model import Argument, Kind
from remotemod.interface.read import read_interface
from remotemod.interface.types import TENSOR, NamedTupleType, OptionalType


class Pair(NamedTuple):
    a: Tensor
    b: int


class Scripted(nn.Module):
    def forward(self, x: Tensor, n: int = 2, d: Tensor | None = None) -> Pair:
        return Pair(x, n)

    @torch.jit.export
    def twice(self, x: Tensor) -> Tensor:
        return x * 2


def test_an_instances_own_forward_counts() -> None:
    """``self.forward = …`` replaces the class's."""
    module = nn.Linear(2, 2)
    module.forward = lambda a, b=3: a  # type: ignore[method-assign, assignment]
    assert [a.name for a in read_interface(module).method("forward").arguments] == ["a", "b"]


def test_local_classes_are_read() -> None:
    """A class in a function keeps its qualified name."""

    class Local(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    interface = read_interface(Local)
    assert interface.qualname.endswith("<locals>.Local")
    assert interface.method("forward").returns == TENSOR


def test_script_modules_are_read_from_their_schemas() -> None:
    """Types, defaults and Python's own names come back from TorchScript."""
    interface = read_interface(torch.jit.script(Scripted()))
    assert (interface.module, interface.qualname) == (__name__, "Scripted")
    assert interface.origin == "script"
    forward = interface.method("forward")
    assert [a.default and a.default.text for a in forward.arguments] == [None, "2", "None"]
    assert forward.arguments[2].type == OptionalType(TENSOR)
    assert isinstance(forward.returns, NamedTupleType)
    assert [m.name for m in interface.methods] == ["forward", "twice"]


def test_an_overloaded_forward_is_read_from_the_python_class() -> None:
    """A scripted LSTM has forward__0 and forward__1 alone; its class knows the forward."""
    interface = read_interface(torch.jit.script(nn.LSTM(2, 3)))
    assert interface.method("forward") == read_interface(nn.LSTM).method("forward")


def test_live_signatures_are_pythons_own() -> None:
    """Callers get the real signature without self, with live defaults and annotations."""
    signature = live_signatures(nn.EmbeddingBag)["forward"]
    expected = inspect.signature(nn.EmbeddingBag(2, 2).forward)
    assert signature == expected
    assert list(live_signatures(torch.jit.script(Scripted()))) == ["forward", "twice"]


def test_traced_modules_are_read() -> None:
    """A traced module has a schema like any other."""
    traced = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
    assert read_interface(traced).method("forward").arguments == (
        Argument("input", TENSOR, Kind.POSITIONAL_OR_KEYWORD),
    )


def test_a_file_may_have_shrunk_since(tmp_path, monkeypatch) -> None:
    """A class is read whose file has fewer lines than when it was imported; it has no line."""
    module = tmp_path / "shrunk.py"
    module.write_text(
        "\n" * 20 + "from torch import nn\nclass M(nn.Module):\n    def forward(self, x): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import shrunk  # type: ignore[import-not-found]

    module.write_text("x = 1\n")
    assert read_interface(shrunk.M).line is None
