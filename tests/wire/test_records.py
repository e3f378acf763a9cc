"""Enum members, named tuples and dataclasses keep their class, and need no trust."""

from __future__ import annotations

import collections
import enum
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from remotemod.errors import ProtocolError
from remotemod.wire.codec import Codec

from .shapes_of_data import Color, FrozenSlots, ModelOutput, Options, PickyPoint, Point, Rights

codec, trusted = Codec(), Codec(code=True)


def trip(value: Any) -> Any:
    return codec.decode(*codec.encode(value))


@pytest.mark.parametrize(
    "member", [*Color, Rights.READ, Rights.READ | Rights.RUN, Rights(0)], ids=str
)
def test_enum_members_are_the_members(member: enum.Enum) -> None:
    """A member arrives as the one and only member; combined flags too."""
    assert trip(member) is member


def test_named_tuples_keep_their_class() -> None:
    """Fields are decoded one by one, and no ``__new__`` runs."""
    point, picky = trip([Point(1.0, {"z": (2,)}), PickyPoint(3.0)])
    assert (type(point), point) == (Point, Point(1.0, {"z": (2,)}))
    assert (type(picky), tuple(picky)) == (PickyPoint, (3.0, 3.0))


def test_struct_sequences_keep_their_class() -> None:
    """torch's return types and the like keep names and hidden fields."""
    got = trip(torch.max(torch.tensor([[1.0, 5.0]]), 1))
    assert type(got) is torch.return_types.max
    assert (got.values.item(), got.indices.item()) == (5, 1)
    now = time.localtime()
    assert trip(now) == now
    assert trip(now).tm_zone == now.tm_zone


def test_a_packed_sequence_arrives_whole() -> None:
    """Its ``__new__`` would check and move what it is given; it is not run."""
    got = trip(pack_sequence([torch.ones(3), torch.zeros(2)]))
    assert type(got) is PackedSequence
    assert got.batch_sizes.tolist() == [2, 2, 1]
    assert got.unsorted_indices is None


def test_dataclasses_arrive_without_running_their_init() -> None:
    """Fields, later changes and further attributes are kept as they were."""
    options = Options(0.5)
    options.doubled = 7.0
    options.note = "late"  # type: ignore[attr-defined]
    got = trip(options)
    assert got == options
    assert (got.doubled, got.note) == (7.0, "late")


def test_frozen_dataclasses_with_slots_arrive() -> None:
    """Neither frozen nor slots keep an instance from being rebuilt."""
    got = trip(FrozenSlots("a", torch.ones(2)))
    assert (got.name, got.tensor.tolist()) == ("a", [1, 1])


def test_a_dataclass_that_is_a_dict_keeps_both_sides() -> None:
    """Dict contents and attributes arrive, and stay the same objects."""
    got = trip(ModelOutput(logits=torch.ones(2)))
    assert type(got) is ModelOutput
    assert list(got) == ["logits"]
    assert got["logits"] is got.logits
    assert got.loss is None


@dataclass
class Holder:
    inner: Any


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([0, {"cfg": Options(lr=object())}], r"args\[1\]\['cfg'\]\.lr \(object\)"),
        ((Point(1.0, [object()]),), r"args\[0\]\.y\[0\] \(object\)"),
        ({1: {2: object()}}, r"args\[1\]\[2\] \(object\)"),
        ({"ü": object()}, r"args\['ü'\] \(object\)"),
        (Holder({"f": print}), r"args\.inner\['f'\] \(builtin_function_or_method\)"),
        (ModelOutput(loss=object()), r"args\.loss \(object\)"),
    ],
    ids=range(6),
)
def test_what_is_refused_is_named_by_its_path(value: Any, path: str) -> None:
    """The error says where, what type, and what to do."""
    with pytest.raises(ProtocolError, match=rf"^{path} cannot be sent: .*data only.*Send plain"):
        codec.encode(value, name="args")


def test_a_local_data_class_needs_trust() -> None:
    """A class that cannot be imported elsewhere is refused with the way out."""

    @dataclass
    class Local:
        x: int

    with pytest.raises(ProtocolError, match=r"Local\) cannot be sent: .*top of a module"):
        codec.encode([Local(1)])
    assert trusted.decode(*trusted.encode(Local(1))) == Local(1)


def test_local_enums_and_named_tuples_are_the_same_classes_again() -> None:
    """By value too, a member is the member and a tuple keeps its class."""
    local = enum.Enum("local", "A B")
    pair = collections.namedtuple("pair", "a b")
    member, items = trusted.decode(*trusted.encode([local.A, pair(1, 2)]))
    assert member is local.A
    assert type(items) is pair


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("subprocess", "Popen"),
        ("os", "system"),
        ("builtins", "eval"),
        ("this", "s"),
        ("torch.nn", "Linear"),
        ("collections", "OrderedDict"),
    ],
)
@pytest.mark.parametrize("tag", [19, 20, 21, 22, 23, 24, 26])
def test_an_untrusted_peer_cannot_name_anything_but_data(tag: int, module: str, name: str) -> None:
    """A forged header that names other classes, functions or modules is refused, and imports nothing."""
    header = msgspec.msgpack.encode([[tag, 0, {}, {}], [], [[module, name]]])
    with pytest.raises(ProtocolError):
        codec.decode(header, [])
