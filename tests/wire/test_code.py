"""Classes, functions and objects travel to trusted peers: by reference, or else by value."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
import textwrap
import types
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from remotemod.errors import ProtocolError
from remotemod.wire.codec import Codec, Extension
from tests.preloaded import programs

from .shapes_of_data import Color, Options

codec = Codec(code=True)


def trip(value: Any, codec: Codec = codec) -> Any:
    return codec.decode(*codec.encode(value))


def name_of(value: Any) -> str:
    """A test id; ``str`` would put an address in memory into it."""
    return str(
        getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__name__)
    )


@pytest.mark.parametrize(
    "value",
    [
        *(nn.Linear, Options, int, type(None), len, math.sqrt, textwrap.dedent, torch.add),
        *(torch.relu, torch.nn.functional.linear, torch.linalg.norm, Color.__members__.get, math),
        *(torch.nn.functional, nn.Module.forward, torch.Tensor),
    ],
    ids=name_of,
)
def test_what_can_be_imported_is_the_same_object(value: Any) -> None:
    """Classes, functions, builtins and modules come back as themselves."""
    got = trip(value)
    assert got is value or got("RED") is Color.RED


@pytest.mark.parametrize("value", [nn.Linear, torch.add, math, textwrap.dedent], ids=name_of)
def test_a_reference_is_only_its_name(value: Any) -> None:
    """Nothing is pickled where a name will do."""
    header, frames = codec.encode(value)
    assert len(header) < 60
    assert frames == []


def test_local_classes_and_functions_travel_by_value() -> None:
    """A closure takes its tensors along as frames, and a local class is the same class again."""
    weight = torch.arange(1000.0)

    def scaled(x: torch.Tensor) -> torch.Tensor:
        return x * weight

    class Local:
        pass

    header, frames = codec.encode([scaled, Local, Local()])
    function, cls, instance = codec.decode(header, frames)
    assert function(torch.ones(1000)).equal(weight)
    assert cls is Local
    assert type(instance) is Local
    assert [f.numel() for f in frames] == [4000]
    assert len(header) < 3000


def test_partials_travel_by_their_parts() -> None:
    """Function, arguments and tensors of a partial arrive."""
    header, frames = codec.encode(functools.partial(torch.add, torch.ones(50), alpha=2))
    got = codec.decode(header, frames)
    assert got(torch.ones(50)).tolist() == [3.0] * 50
    assert len(frames) == 1


def test_a_module_instance_keeps_its_tensors_out_of_the_header() -> None:
    """An nn.Module is an object whose parameters are frames, and tied ones stay tied."""
    model = nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 300))
    model[1].weight = model[0].weight
    header, frames = codec.encode(model)
    got = codec.decode(header, frames)
    assert len(frames) == 3
    assert len(header) < 4000
    assert got[1].weight is got[0].weight
    assert got[0].weight.equal(model[0].weight)


class Labelled(torch.Tensor):
    """A tensor subclass with an attribute."""


def test_tensor_subclasses_keep_class_and_attributes() -> None:
    """A subclass is an object; its bytes are still a frame."""
    sent = torch.arange(1000.0).view(10, 100).as_subclass(Labelled)
    sent.label = "x"  # type: ignore[attr-defined]
    header, frames = codec.encode([sent])
    (got,) = codec.decode(header, frames)
    assert (type(got), got.label, len(frames)) == (Labelled, "x", 1)
    assert torch.equal(got, sent)
    assert len(header) < 1000


class Doubler(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def shifted(x: torch.Tensor, by: int = 1) -> torch.Tensor:
    return x + by


def test_scripts_travel_as_their_archive() -> None:
    """Scripted modules and functions run at the other end."""
    module, function = trip([torch.jit.script(Doubler()).eval(), torch.jit.script(shifted)])
    assert module(torch.ones(1)).item() == 2
    assert not module.training
    assert function(torch.ones(1), by=4).item() == 5


def test_a_module_without_a_spec_travels_by_value() -> None:
    """What was made by exec into sys.modules cannot be imported by the peer, so its code goes along."""
    made = types.ModuleType("made_by_exec")
    exec("class Made:\n    answer = 42\n", vars(made))
    sys.modules["made_by_exec"] = made
    try:
        header, frames = codec.encode(made.Made)
    finally:
        del sys.modules["made_by_exec"]
    assert b"answer" in header
    assert codec.decode(header, frames).answer == 42


def test_what_cannot_be_pickled_is_named() -> None:
    """The error keeps the path, the type and the reason."""
    with pytest.raises(ProtocolError, match=r"value\[0\]\['g'\] \(generator\) .*cannot be pickled"):
        codec.encode([{"g": (i for i in ())}])


@pytest.mark.parametrize(
    "value", [nn.Linear, print, math, {1, 2}.add, nn.Linear(1, 1), shifted, object()], ids=name_of
)
def test_code_stops_at_a_peer_without_trust(value: Any) -> None:
    """Neither end takes part: one refuses to send it, the other to build it."""
    careful = Codec()
    with pytest.raises(ProtocolError, match="data only"):
        careful.encode([value])
    with pytest.raises(ProtocolError, match="only data is taken"):
        careful.decode(*codec.encode([value]))


def test_a_script_is_code() -> None:
    """TorchScript runs: an untrusted peer cannot send any."""
    message = codec.encode(torch.jit.script(Doubler()))
    with pytest.raises(ProtocolError, match="only data is taken"):
        Codec().decode(*message)


class Handle:
    def __init__(self, number: int) -> None:
        self.number = number


class SpecialHandle(Handle):
    pass


class Holder:
    def __init__(self, item: Any) -> None:
        self.item = item


handles = [
    Extension(Handle, "handle", lambda h: {"number": h.number}, lambda v: Handle(**v)),
    Extension(SpecialHandle, "special", lambda h: h.number, SpecialHandle),
]


class GrandHandle(Handle):
    pass


def test_extensions_match_exactly_and_then_by_subclass() -> None:
    """A class with an extension of its own uses that; a mere subclass uses its base's."""
    got = trip([Handle(1), SpecialHandle(2), GrandHandle(3)], Codec(extensions=handles))
    assert [(type(h), h.number) for h in got] == [(Handle, 1), (SpecialHandle, 2), (Handle, 3)]


def test_extensions_reach_into_pickled_objects() -> None:
    """A handle inside an arbitrary object is packed by its extension, not pickled."""
    held = Handle(4)
    held.lock = (i for i in ())  # type: ignore[attr-defined]
    got = trip(Holder([held, held]), Codec(code=True, extensions=handles))
    assert got.item[0].number == 4
    assert got.item[0] is got.item[1]


def test_an_unknown_extension_is_a_protocol_error() -> None:
    """Both ends must know the same extensions."""
    with pytest.raises(ProtocolError):
        Codec().decode(*Codec(extensions=handles).encode(Handle(1)))


ECHO = """
import sys
from remotemod.wire.codec import Codec
codec = Codec(code=True)
size = int(sys.stdin.buffer.readline())
value = codec.decode(sys.stdin.buffer.read(size), [])
header, frames = codec.encode([value, type(value[1]).__name__])
sys.stdout.buffer.write(header)
"""


@pytest.mark.slow
def test_a_class_by_value_returns_from_another_process_as_itself() -> None:
    """Classes that only exist here go to a process and back, and are the same class again."""

    @dataclass
    class Local:
        x: int

    header, _ = codec.encode([Local, Local(3)])
    echo = programs.run(
        ["-c", ECHO],
        input=b"%d\n" % len(header) + header,
        stdout=subprocess.PIPE,
        check=True,
    )
    (cls, instance), name = codec.decode(echo.stdout, [])
    assert cls is Local
    assert instance == Local(3)
    assert name == "Local"
