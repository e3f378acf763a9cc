"""CPU tensors go to a module on the device and its results come back: every kind, each as what it is."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import remotemod as rm
from tests.gpu import zoo
from tests.gpu.devices import HERE, assert_came_back, needs_values, only_on_cuda

X = torch.arange(8.0).view(2, 4)
POINT = zoo.Point(X, 3, [torch.ones(4)])
CALLS = {
    "forward": (X,),
    "pair": (X,),
    "mixed": (X, 2),
    "table": ({"a": X, "b": X + 1},),
    "maybe": (X,),
    "maybe_none": (None,),
    "point": (X,),
    "from_point": (POINT,),
    "nested": ([{"x": X}, {"x": X * 2}],),
    "rows": (X,),
    "scalar": (X,),
    "count": (X,),
    "number": (X,),
    "nothing": (X,),
}
"""Arguments by method; what is behind the name's own method is another case of it."""


def moved(value: Any, device: str) -> Any:
    """Arguments where the local module is, one container after another."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, zoo.Point):
        return zoo.Point(*(moved(item, device) for item in value))
    if isinstance(value, PackedSequence):
        return value.to(device)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(moved(item, device) for item in value)
    return value


@functools.cache
def handle(kind: str, device: str) -> Any:
    """A remote module of each kind, as its callers hold it."""
    remote = rm.RemoteModule(
        f"one/{device}",
        zoo.scripted_results if "scripted module" in kind else zoo.Results,
        interface=None if kind == "eager" else zoo.ResultsInterface,
    )
    return torch.jit.script(remote) if "scripted caller" in kind else remote


KINDS = ["eager", "interface", "scripted caller", "scripted caller of a scripted module"]


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_what_the_local_module_gives(
    workers: rm.Cluster, device: str, kind: str, case: str
) -> None:
    """Tensors, tuples, dicts, optionals, named tuples and numbers, blocking and asynchronous."""
    if device == "meta" and case == "number":
        pytest.skip("tensors on meta have no values to make a number of")
    method, arguments = case.removesuffix("_none"), CALLS[case]
    with torch.no_grad():
        remote = handle(kind, device)
        expected = getattr(zoo.Results().to(device), method)(*moved(arguments, device))
        found = getattr(remote, method)(*arguments)
        later = getattr(remote, f"{method}_async")(*arguments).wait()
    for each in (found, later):
        if case == "point" and "scripted caller" in kind:  # TorchScript makes a class of its own
            assert type(each).__name__ == "Point"
            assert each._fields == expected._fields
            each = zoo.Point(*each)
        assert_came_back(each, expected)


def test_untold_types_are_looked_through(workers: rm.Cluster, device: str) -> None:
    """Without annotations tensors are found in containers, dataclasses, variadic and keyword arguments."""
    remote, local = rm.RemoteModule(f"one/{device}", zoo.Untold), zoo.Untold().to(device)
    args, more, named = {"in": [X, "word"]}, (X + 1, X + 2), {"first": X + 3}
    with torch.no_grad():
        expected = local(*moved((args, *more), device), **moved(named, device))
        assert_came_back(remote(args, *more, **named), expected)


def test_packed_sequences_keep_their_sizes_on_the_cpu(workers: rm.Cluster, device: str) -> None:
    """An LSTM on the device takes a packed sequence and returns one, with its states in nested tuples."""
    if device == "meta":
        pytest.skip("torch packs and runs no sequences on meta")
    remote = rm.RemoteModule(f"one/{device}", zoo.Sequences)
    local = zoo.Sequences().to(device)
    local.load_state_dict(remote.state_dict())
    x = pack_sequence([torch.ones(3, 4), torch.ones(2, 4)])
    with torch.no_grad():
        found, expected = remote(x), local(x.to(device))
    torch.testing.assert_close(found[0].data, expected[0].data.cpu(), rtol=1e-3, atol=1e-4)
    assert type(found[0]) is PackedSequence
    assert torch.equal(found[0].batch_sizes, expected[0].batch_sizes)
    assert [state.device.type for state in found[1]] == ["cpu", "cpu"]


@pytest.mark.parametrize("name", ["expanded", "transposed", "channels_last", "sliced", "empty"])
@needs_values
def test_layouts_arrive(workers: rm.Cluster, device: str, name: str) -> None:
    """How an argument lies in memory is its own affair, here and on the device."""
    whole = torch.arange(32.0).view(2, 4, 2, 2)
    value = {
        "expanded": torch.ones(1, 4).expand(3, 4),
        "transposed": torch.arange(8.0).view(4, 2).t(),
        "channels_last": whole.to(memory_format=torch.channels_last),
        "sliced": whole[1, 1:, 0],
        "empty": torch.empty(0, 4),
    }[name]
    remote = rm.RemoteModule(f"one/{device}", nn.Identity)
    found = remote(value)
    assert_came_back(found, value)
    if name in ("transposed", "channels_last"):
        assert found.stride() == value.stride()


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool, "complex"]
)
@needs_values
def test_dtypes_arrive(workers: rm.Cluster, device: str, dtype: Any) -> None:
    """Each dtype makes the way there and back; a conjugate is resolved on it."""
    value = torch.arange(-4.0, 4.0)
    value = torch.complex(value, value).conj() if dtype == "complex" else value.to(dtype)
    remote = rm.RemoteModule(f"one/{device}", nn.Identity)
    assert_came_back(remote(value), value)


@needs_values
def test_large_results_are_whole(workers: rm.Cluster, device: str) -> None:
    """Results of many MiB, several at once, are complete when they are read: the copy has ended by then."""
    remote = rm.RemoteModule(f"one/{device}", zoo.Results)
    with torch.no_grad():
        x = torch.randn(1 << 20, 4)
        later = [remote.rows_async(x + i) for i in range(4)]
        weight = zoo.Results().weight
        for i, future in enumerate(later):
            first, second = future.wait()
            torch.testing.assert_close(first, (x + i) * weight)
            torch.testing.assert_close(second, (x + i) - weight)


@only_on_cuda("it has no other device to come from")
def test_arguments_may_be_on_the_callers_device(workers: rm.Cluster, device: str) -> None:
    """A caller with tensors on its own GPU sends them as they are; results are on the CPU."""
    remote, local = rm.RemoteModule(f"one/{device}", zoo.Results), zoo.Results().to(device)
    with torch.no_grad():
        for x in (X.to(device), X.to(device).t().contiguous().t(), X.to(device).expand(3, 2, 4)):
            assert_came_back(remote(x), local(x))
        assert_came_back(remote.table({"a": X.to(device)}), local.table({"a": X.to(device)}))


@only_on_cuda("memory is pinned for an accelerator")
def test_arguments_may_be_pinned(workers: rm.Cluster, device: str) -> None:
    """Pinned memory is read like any other."""
    remote, local = rm.RemoteModule(f"one/{device}", zoo.Results), zoo.Results().to(device)
    with torch.no_grad():
        assert_came_back(remote(X.pin_memory()), local(X.to(device)))


@needs_values
def test_shared_tensors_go_to_the_device(workers: rm.Cluster, device: str) -> None:
    """A tensor of ``rm.empty`` is moved from shared memory like any other."""
    remote, local = rm.RemoteModule(f"one/{device}", zoo.Results), zoo.Results().to(device)
    shared = rm.empty((70_000, 4))
    with torch.no_grad():
        for turn in range(3):
            shared.copy_(torch.randn(70_000, 4) + turn)
            assert_came_back(remote(shared), local(shared.to(device)))


def test_inproc_modules_move_too(device: str) -> None:
    """A module of this very process, placed on the device, takes CPU tensors and gives some back."""
    remote, local = rm.RemoteModule(device, zoo.Results), zoo.Results().to(device)
    with torch.no_grad():
        assert_came_back(remote.point(X), local.point(X.to(device)))
        assert remote(X).device.type == HERE
