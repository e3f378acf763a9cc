"""The owner's half of a stub, run against the meta device: tensors move, structures stay."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from remotemod.codegen.plan import plan_stub
from remotemod.codegen.render import render
from remotemod.interface.read import read_interface
from remotemod.stub.loader import LoadedStub, load_stub


class Pair(NamedTuple):
    first: Tensor
    second: int


class Nested(NamedTuple):
    pair: Pair
    table: Dict[str, List[Tensor]]


@dataclasses.dataclass(frozen=True)
class Record:
    x: Tensor
    name: str


class Reference:
    """What an owner sees of a remote reference to a module with this ``forward``."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def local_value(self) -> Any:
        return self


def load(cls: type) -> LoadedStub:
    return load_stub(render(read_interface(cls)))


def devices(value: Any) -> set[str]:
    """The devices of all tensors in a value."""
    if isinstance(value, Tensor):
        return {value.device.type}
    if isinstance(value, PackedSequence):
        return {value.data.device.type}
    if isinstance(value, dict):
        value = list(value.values())
    if dataclasses.is_dataclass(value):
        value = list(vars(value).values())
    if isinstance(value, (list, tuple)):
        return set().union(*map(devices, value))
    return set()


def shape(value: Any) -> Any:
    """A value with tensors left out: its types and structure."""
    if isinstance(value, Tensor):
        return Tensor
    if isinstance(value, PackedSequence):
        return PackedSequence
    if isinstance(value, dict):
        return type(value), {k: shape(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value):
        return type(value), [shape(v) for v in vars(value).values()]
    if isinstance(value, (list, tuple)):
        return type(value), [shape(v) for v in value]
    return value


def moved(function: Callable[..., Any], value: Any, *rest: Any) -> Any:
    """What the module is given when the function runs for a module on the meta device."""
    seen: list[Any] = []

    class Module:
        def __call__(self, x: Any, *others: Any, **named: Any) -> None:
            seen.append(x)

    function(Reference(Module()), "meta", True, value, *rest)
    return seen[0]


T = torch.ones(2)
ARGUMENTS: list[tuple[Any, Any]] = [
    (Tensor, T),
    (Optional[Tensor], T),
    (Optional[Tensor], None),
    (List[Tensor], [T, T]),
    (List[Tensor], []),
    (Tuple[Tensor, int], (T, 1)),
    (Tuple[Tensor, ...], (T, T, T)),
    (Tuple[()], ()),
    (Tuple[int, Optional[Tensor]], (1, T)),
    (Tuple[int, Optional[Tensor]], (1, None)),
    (Dict[str, Tensor], {"a": T}),
    (Dict[str, List[Tuple[Tensor, Optional[Tensor]]]], {"a": [(T, None), (T, T)]}),
    (List[List[List[Tensor]]], [[[T]], []]),
    (Optional[List[Optional[Tensor]]], [T, None]),
    (Pair, Pair(T, 3)),
    (List[Pair], [Pair(T, 3)]),
    (Optional[Pair], Pair(T, 3)),
    (Dict[str, Pair], {"a": Pair(T, 3)}),
    (Nested, Nested(Pair(T, 1), {"a": [T]})),
    (Record, Record(T, "a")),
    (Optional[Record], Record(T, "a")),
    (Union[int, Tensor], T),
    (Union[int, Tensor], 3),
    (Any, T),
    (Any, {"a": [T, (T, Pair(T, 1))]}),
    (object, collections.OrderedDict(a=T)),
    (list, [T, [T]]),
    (dict, collections.defaultdict(list, {"a": [T]})),
    (PackedSequence, pack_sequence([T])),
    (None, [T, {"a": (T,)}]),
]
PLAIN: list[tuple[Any, Any]] = [(int, 3), (float, 0.5), (str, "a"), (bool, True), (List[int], [1])]


def module_with(argument: Any = Tensor, result: Any = None) -> type:
    """A module class whose forward is annotated so."""

    def forward(self: Any, x: Any) -> Any:
        return x

    forward.__annotations__ = {}
    if argument is not None:
        forward.__annotations__["x"] = argument
    if result is not None:
        forward.__annotations__["return"] = result
    return type("Made", (nn.Module,), {"forward": forward, "__module__": __name__})


@pytest.mark.parametrize(("annotation", "value"), ARGUMENTS + PLAIN, ids=str)
def test_arguments_reach_the_module_on_its_device(annotation: Any, value: Any) -> None:
    """Every tensor in an argument is on the module's device, and the argument is what it was."""
    got = moved(load(module_with(annotation)).remote_methods["forward"], value)
    assert shape(got) == shape(value)
    assert devices(got) <= {"meta"}
    assert bool(devices(got)) == bool(devices(value))


@pytest.mark.parametrize(("annotation", "value"), ARGUMENTS + PLAIN, ids=str)
def test_results_come_back_as_they_are(
    annotation: Any, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tensor in a result goes back through ``to_caller``, and the result is what it was."""
    stub = load(module_with(Tensor, annotation))
    remote = stub.remote_methods["forward"]
    sent = remote(Reference(lambda x: value), "cpu", False, T)
    assert shape(sent) == shape(value)
    assert devices(sent) <= {"cpu"}
    untouched = remote(Reference(lambda x: value), "cpu", True, T)
    assert untouched is value


@pytest.mark.parametrize(("annotation", "value"), ARGUMENTS, ids=str)
def test_every_tensor_of_a_result_is_sent_back(
    annotation: Any, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tensor of a result is overlooked, wherever it sits."""
    import remotemod.trees as helpers

    stub = load(module_with(Tensor, annotation))
    names = [n for n in ("to_caller", "move_to_caller") if n in stub.module.__dict__]
    assert names or not devices(value)
    for name in names:
        if name == "to_caller":
            monkeypatch.setitem(stub.module.__dict__, name, lambda t: t.to("meta"))
        else:
            mapped = lambda v: helpers.map_tensors(v, lambda t: t.to("meta"))
            monkeypatch.setitem(stub.module.__dict__, name, mapped)
    sent = stub.remote_methods["forward"](Reference(lambda x: value), "cpu", False, T)
    assert devices(sent) <= {"meta"}
    assert shape(sent) == shape(value)


def test_variadic_and_keyword_arguments_move() -> None:
    """``*args``, keyword-only arguments and ``**kwargs`` reach the device as well."""

    class Kinds(nn.Module):
        def forward(self, *args, scale: Tensor, **kwargs): ...

    seen: list[Any] = []
    remote = load(Kinds).remote_methods["forward"]
    remote(
        Reference(lambda *a, **k: seen.extend([a, k])), "meta", True, T, [T], scale=T, other=(T,)
    )
    assert shape(seen) == shape([(T, [T]), {"scale": T, "other": (T,)}])
    assert devices(seen) == {"meta"}


def test_implicit_optional_and_omitted_arguments_move() -> None:
    """``x: Tensor = None`` may be None; what the caller omits is omitted from the call."""

    class Module(nn.Module):
        def forward(self, x: Tensor = None, y=nn.Module(), *, z: Tensor = nn.Module()): ...

    seen: list[Any] = []
    remote = load(Module).remote_methods["forward"]
    remote(Reference(lambda *a, **k: seen.append((a, k))), "meta", True)
    assert seen.pop() == ((None,), {})
    remote(Reference(lambda *a, **k: seen.append((a, k))), "meta", True, T, z=T)
    assert shape(seen) == shape([((T,), {"z": T})])
    assert devices(seen) == {"meta"}


def test_plain_variant_moves_nothing() -> None:
    """Without device moves the owner's half is the bare call."""
    interface = read_interface(module_with(List[Tensor], List[Tensor]))
    plan = plan_stub(interface, source="x", version="0", form="eager", device_moves=False)
    module, call = plan.methods[0].remote.body
    assert (module, call) == ("module = module_rref.local_value()", "return module.forward(x)")


def test_names_that_moves_use_may_be_parameters() -> None:
    """Parameters called like what the moves use do not get in their way."""

    class Names(nn.Module):
        def forward(
            self,
            tuple: Tuple[Tensor, ...],
            item: List[Tensor],
            key: Dict[str, List[Tensor]],
            move: Any,
            to_caller: Tensor,
            device: Tensor,
        ) -> Tuple[Tensor, ...]: ...

    seen: list[Any] = []
    given = ((T,), [T], {"a": [T]}, [T], T, T)

    def module(*values: Any) -> Any:
        seen.extend(values)
        return (T, T)

    result = load(Names).remote_methods["forward"](Reference(module), "meta", False, *given)
    assert shape(list(given)) == shape(seen)
    assert devices(seen) == {"meta"}
    assert shape(result) == shape((T, T))
