"""What was exported in one process is loaded and called in another one that has no user code."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import remotemod as rm
from tests.archive import fresh
from tests.archive.conftest import untyped
from tests.archive.golden_calls import golden_calls
from tests.training.nn_cases import CASES

X = torch.tensor([[1.0, -2.0, 0.5]])

BACKENDS = ["shm", pytest.param("torch_rpc", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=BACKENDS)
def cluster(request: pytest.FixtureRequest, zoo: ModuleType, fork_server: None) -> Iterator[Any]:
    """An owner, and a second process that reaches it and knows nothing of the user's.

    The second process is a worker of the same cluster: it was started from a process with torch and
    remotemod alone.
    """
    with rm.launch(workers=["ps0", "second"], backend=request.param) as cluster:
        rm.rpc_sync("second", fresh.forget_user_code)
        yield cluster


def in_second_process(function: Any, *args: Any) -> Any:
    """What a function of ``fresh`` returns in the second process."""
    return rm.rpc_sync("second", function, args=args)


def exported(
    cases: dict[str, Any], folder: Path
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Archives of interfaces: their parts, the calls, and what local modules answer."""
    parts, calls, expected = [], {}, {}
    for name, (interface, module, several) in cases.items():
        part = rm.RemoteModule("ps0/cpu", module, interface=interface, name=name)
        path = str(folder / f"{name}.pt")
        rm.export(part, path)
        parts.append(part)
        local = module()
        calls[path] = [(method, untyped(args), untyped(kwargs)) for method, args, kwargs in several]
        expected[path] = [fresh.plain(getattr(local, m)(*a, **k)) for m, a, k in several]
    return parts, calls, expected


@pytest.mark.parametrize("load", [fresh.calls, fresh.plainly])
@pytest.mark.slow
def test_every_interface_answers_as_the_local_module(
    cluster: rm.Cluster, zoo: ModuleType, tmp_path: Path, load: Any
) -> None:
    """Several methods, containers, named tuples, unions, keywords, names that shadow others: in both ways to load, also asynchronously."""
    kept, calls, expected = exported(zoo.CALLS, tmp_path)
    with torch.no_grad():
        assert in_second_process(load, calls) == expected
    assert kept


def test_golden_interfaces_answer_as_the_local_module(cluster: rm.Cluster, tmp_path: Path) -> None:
    """Defaults, no arguments, long signatures, deep containers."""
    kept, calls, expected = exported(golden_calls(), tmp_path)
    with torch.no_grad():
        assert in_second_process(fresh.calls, calls) == expected
    assert kept


def test_a_models_results_and_gradients_are_the_local_ones(
    cluster: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """Through a loaded model gradients reach its input, its own parameters and its remote part's."""
    part = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name="trained")
    rm.export(zoo.One(part), tmp_path / "one.pt")
    local = zoo.One(zoo.SeveralModule())
    x = X.clone().requires_grad_()
    y = local(x)
    y.sum().backward()
    found = in_second_process(fresh.gradients, str(tmp_path / "one.pt"), X)
    own = [fresh.plain(p.grad) for p in local.own.parameters()]
    assert found == (fresh.plain(y), fresh.plain(x.grad), own)
    theirs = part.get_module_rref()
    assert rm.rpc_sync("ps0", gradients_of, args=(theirs,)) == [
        fresh.plain(p.grad) for p in local.head.parameters()
    ]


def gradients_of(ref: Any) -> list[Any]:
    """On the owner: the gradients of a module's parameters."""
    return [fresh.plain(p.grad) for p in ref.local_value().parameters()]


def test_threads_may_load_at_the_same_time(
    cluster: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """Several parts, one of them twice, loaded by four threads at once: all get the same answer."""
    head = rm.RemoteModule("ps0/cpu", zoo.SeveralModule, interface=zoo.Several, name="head")
    tail = rm.RemoteModule("ps0/cpu", zoo.NamedModule, interface=zoo.Named, name="tail")
    rm.export(zoo.Model(head, tail), tmp_path / "model.pt")
    expected = local_model(zoo)(X)
    found = in_second_process(fresh.two_at_once, str(tmp_path / "model.pt"), X)
    assert found == [fresh.plain(expected)] * 8


def local_model(zoo: ModuleType) -> nn.Module:
    """The same model without anything remote."""
    head = zoo.SeveralModule()
    head.forward_async = lambda x, scale: torch.futures.Future() and _done(head(x, scale))
    return zoo.Model(head, zoo.NamedModule())


def _done(value: Any) -> Any:
    future: Any = torch.futures.Future()
    future.set_result(value)
    return future


def test_modules_that_torchs_rpc_reaches_by_itself_are_saved_too(
    cluster: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """A part that is a ScriptModule is called by operators from the archive, and the model stays native."""
    part = rm.RemoteModule("ps0/cpu", zoo.scripted_several, interface=zoo.Several, name="native")
    model = zoo.One(part)
    rm.export(model, tmp_path / "native.pt")
    assert model.head is part
    assert bool(part._client.spec.extension) == (cluster.backend == "torch_rpc")
    calls = {str(tmp_path / "native.pt"): [("forward", (X,), {})]}
    expected = fresh.plain(zoo.One(zoo.SeveralModule())(X))
    assert list(in_second_process(fresh.calls, calls).values()) == [[expected]]
    part.add(5)
    rm.export(part, tmp_path / "part.pt")
    calls = {str(tmp_path / "part.pt"): [("add", (2,), {}), ("total", (), {})]}
    assert in_second_process(fresh.calls, calls) == {str(tmp_path / "part.pt"): [None, 7]}
    assert part.total() == 7  # it is one module, and no copy
    if part._client.spec.extension:
        with pytest.raises(rm.ArchiveError, match=r"'head' was scripted for 'torch_rpc'.*before"):
            rm.export(torch.jit.script(model), tmp_path / "scripted.pt")


def test_an_archive_of_torchs_own_is_explained(
    cluster: rm.Cluster, zoo: ModuleType, tmp_path: Path
) -> None:
    """``torch.jit.save`` leaves out what a process needs that has not the interface yet."""
    part = rm.RemoteModule("ps0/cpu", zoo.ColouredModule, interface=zoo.Coloured, name="coloured")
    torch.jit.save(torch.jit.script(part), tmp_path / "lost.pt")
    found = in_second_process(fresh.refusal, str(tmp_path / "lost.pt"))
    assert "saved by torch.jit.save" in found
    assert "save the model by rm.export" in found


NN = (
    *("Linear", "Bilinear", "EmbeddingBag", "BatchNorm2d", "GRUCell", "LSTMCell"),
    *("MultiheadAttention", "CrossEntropyLoss"),
)


def scripted_case(number: int) -> nn.Module:
    """A module of torch.nn, scripted."""
    case = CASES[number]
    torch.manual_seed(0)
    return torch.jit.script(case.factory(*case.args, **case.kwargs).eval())


@pytest.mark.slow
def test_modules_of_torch_nn_answer_as_local_ones(cluster: rm.Cluster, tmp_path: Path) -> None:
    """Interfaces that nobody wrote for us: scripted modules of torch.nn, some of every shape."""
    kept, calls, expected = [], {}, {}
    for name in NN:
        number = next(i for i, case in enumerate(CASES) if case.cls.__name__ == name)
        local = scripted_case(number)
        build = functools.partial(scripted_case, number)
        part = rm.RemoteModule("ps0/cpu", build, interface=local, name=name)
        path = str(tmp_path / f"{name}.pt")
        rm.export(part, path)
        kept.append(part)
        args, kwargs = CASES[number].inputs(), CASES[number].named()
        calls[path] = [("forward", args, kwargs)]
        with torch.no_grad():
            expected[path] = [fresh.plain(local(*args, **kwargs))]
    with torch.no_grad():
        assert in_second_process(fresh.calls, calls) == expected
