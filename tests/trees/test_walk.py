"""One walk finds the tensors of a value, and makes it again with others, whatever it is made of."""

from __future__ import annotations

import functools
import gc
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

from remotemod.autograd.tensors import enumerate_tensors, open_value, parts_of, replaced
from remotemod.trees import Enumerated, Walk, map_tensors, move, tensors_of
from remotemod.trees.paths import path_to
from remotemod.wire.codec import Codec
from tests.trees.values import alike, nested

codec = Codec(code=True)


def equal(one: Tensor, other: Tensor) -> bool:
    """Same type, flag and values."""
    flags = one.requires_grad == other.requires_grad and type(one) is type(other)
    return flags and torch.equal(one, other)


@given(nested())
def test_what_maps_to_itself_is_the_value_itself(value: Any) -> None:
    """Nothing is copied where no tensor changes."""
    assert map_tensors(value, lambda tensor: tensor) is value


@given(nested())
def test_another_value_has_the_types_attributes_and_sharing_of_the_first(value: Any) -> None:
    """All tensors are others, and all else is as it was; the value itself is not touched."""
    before = tensors_of(value)
    news: list[Tensor] = []

    def doubled(tensor: Tensor) -> Tensor:
        news.append(tensor.detach() * 2)
        return news[-1]

    other = map_tensors(value, doubled)
    assert len(news) == len(before)
    assert alike(value, other, lambda one, two: torch.equal(one.detach() * 2, two))
    assert {id(tensor) for tensor in tensors_of(other)} == set(map(id, news))
    assert list(map(id, tensors_of(value))) == list(map(id, before))


@given(nested())
def test_any_value_arrives_as_it_was(value: Any) -> None:
    """The codec keeps types, attributes, sharing and cycles."""
    assert alike(value, codec.decode(*codec.encode(value)), equal)


@given(nested())
def test_both_sides_find_the_same_tensors(value: Any) -> None:
    """What the sender follows the receiver finds, in the same order, sets and all."""
    sent, tensors = enumerate_tensors(((value,), {}), is_call=True)
    arrived, found = open_value(codec.decode(*codec.encode(sent)))
    assert len(found) == len(tensors)
    assert all(map(equal, tensors, found))
    assert {id(tensor) for tensor in found} <= set(Walk(arrived).tensors)


@given(nested())
def test_replacing_tensors_by_themselves_changes_nothing(value: Any) -> None:
    """Gradients' way of replacing takes the tensors that it gave."""
    _, tensors = enumerate_tensors(value, is_call=True)
    other = replaced(value, tensors, parts_of(tensors))
    assert alike(value, other, lambda one, two: one is two)


@given(nested())
def test_moves_touch_what_gradients_follow(value: Any) -> None:
    """After a move no tensor is left behind."""
    _, tensors = enumerate_tensors(value, is_call=True)
    moved = move(value, "meta")
    assert all(tensor.is_meta for tensor in tensors_of(moved))
    assert len([t for t in tensors_of(moved) if t.requires_grad]) == len(tensors)
    assert not any(tensor.is_meta for tensor in tensors)


def test_a_parameter_stays_one_when_it_moves_without_its_graph() -> None:
    """A module that moves under no_grad is a module as any other."""
    with torch.no_grad():
        moved = move(nn.Linear(2, 2), "meta")
    assert [type(parameter) for parameter in moved.parameters()] == [nn.Parameter] * 2
    assert all(p.is_meta and p.requires_grad for p in moved.parameters())


def test_deep_values_are_walked_without_recursion() -> None:
    """A chain of ten thousand lists has one tensor."""
    value: Any = torch.ones(1)
    for _ in range(10_000):
        value = [value]
    assert len(tensors_of(value)) == 1


def test_a_walk_keeps_nothing_alive() -> None:
    """Tensors, and their graphs, end with the value and not with the next collection of cycles."""
    tensor = torch.ones(1)
    value = {"a": [tensor, {tensor}], "p": functools.partial(torch.add, tensor)}
    gone = weakref.ref(tensor)
    gc.disable()
    try:
        map_tensors(value, lambda t: t * 2)
        del value, tensor
        assert gone() is None
    finally:
        gc.enable()


class Opaque:
    """Has a pickle of its own."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __reduce__(self) -> Any:
        return Opaque, (self.item,)


def test_a_path_leads_to_a_tensor_wherever_it_is() -> None:
    """Through containers, attributes, closures and what only pickle enters."""
    tensor = torch.ones(1)
    for value, path in (
        ({"a": [0, tensor]}, "x['a'][1]"),
        (lambda: tensor, "x.<locals>.tensor"),
        ([Opaque({"k": tensor})], "x[0].item['k']"),
        ({1: (Opaque(Opaque(tensor)),)}, "x[1][0].item.item"),
    ):
        assert path_to(tensor, value, "x") == path
    assert path_to(tensor, [1], "x") is None
    model = nn.Sequential(nn.Linear(1, 1))
    assert path_to(model[0].bias, {"m": model}, "x") == "x['m'].0.bias"


@pytest.mark.parametrize("value", [[1, "a"], {"a": torch.ones(1, requires_grad=True)}, (1, [2.0])])
def test_regular_values_travel_as_they_are(value: Any) -> None:
    """Most values need no list of their tensors beside them."""
    sent, _ = enumerate_tensors(value, is_call=False)
    assert sent is value


@pytest.mark.parametrize("make", [lambda x: {x, x * 1}, lambda x: [Opaque(x)], lambda x: lambda: x])
def test_others_travel_with_a_list_of_their_tensors(make: Any) -> None:
    """Sets have no order, objects may hide tensors, functions may hold more than is seen."""
    sent, _ = enumerate_tensors(make(torch.ones(1, requires_grad=True)), is_call=False)
    assert type(sent) is Enumerated


def test_the_parameters_of_a_module_that_is_returned_are_the_receivers_own() -> None:
    """Its other tensors are followed."""
    layer: Any = nn.Linear(2, 2)
    layer.scale = torch.ones(1, requires_grad=True) * 2
    _, followed = enumerate_tensors([layer], is_call=False)
    assert [id(tensor) for tensor in followed] == [id(layer.scale)]
    _, followed = enumerate_tensors([layer], is_call=True)
    assert len(followed) == 3
