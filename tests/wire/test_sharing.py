"""What occurs twice in a value, or holds itself, arrives so where the peer is trusted with code."""

from __future__ import annotations

from typing import Any

import torch

from remotemod.wire.codec import Codec, Extension

codec = Codec(code=True)


class Box:
    """An object."""

    def __init__(self, item: Any) -> None:
        self.item = item


class Handle:
    """What an extension packs."""


def trip(value: Any) -> Any:
    return codec.decode(*codec.encode(value))


def test_a_container_that_occurs_twice_stays_one() -> None:
    """In containers, in objects that are pickled, and between the two."""
    shared = [torch.ones(1)]
    first, second, third, fourth = trip([shared, {"a": shared}, Box(shared), Box([shared])])
    assert first is second["a"] is third.item is fourth.item[0]
    one, other = Box(1), {1, 2}
    boxes = trip([one, other, (one, other)])
    assert (boxes[0], boxes[1]) == boxes[2]
    assert boxes[0] is boxes[2][0]
    assert boxes[1] is boxes[2][1]


def test_a_value_may_hold_itself() -> None:
    """Directly, or by an object."""
    value: list[Any] = [1]
    value += [value, Box(value)]
    found = trip({"v": value})["v"]
    assert found[1] is found[2].item is found


def test_tensors_stay_frames_in_such_values() -> None:
    """No data is pickled, and a tensor that occurs twice is sent once."""
    tensor = torch.zeros(1000)
    shared = [tensor]
    header, frames = codec.encode([shared, shared, tensor])
    assert len(header) < 500
    assert [frame.numel() for frame in frames] == [4000]
    found = codec.decode(header, frames)
    assert found[0] is found[1]
    assert found[0][0] is found[2]


def test_extensions_pack_each_value_as_often_as_it_is_sent() -> None:
    """Packing may have effects elsewhere, so what was packed before the repetition was met is not packed again."""
    packed: list[Handle] = []

    def pack(handle: Handle) -> str:
        packed.append(handle)
        return "handle"

    extended = Codec(code=True, extensions=[Extension(Handle, "h", pack, lambda _: Handle())])
    shared: list[Any] = []
    found = extended.decode(*extended.encode([Handle(), Handle(), shared, shared]))
    assert len(packed) == 2
    assert [type(item) for item in found] == [Handle, Handle, list, list]
    assert found[2] is found[3]
