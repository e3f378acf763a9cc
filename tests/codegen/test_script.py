"""Scripted stubs: TorchScript compiles them and reaches a router through dispatcher operators."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from remotemod.codegen.render import render
from remotemod.errors import InterfaceError
from remotemod.handles.directory import DIRECTORY
from remotemod.interface.model import Argument, Default, Interface, Kind, Method
from remotemod.interface.read import read_interface
from remotemod.interface.types import TENSOR, Type
from remotemod.stub.loader import LoadedStub, load_stub
from remotemod.stub.operators import define_operators
from tests.codegen.interfaces import PLAIN

T = torch.ones(2)
NUMBERS = itertools.count()


class Recorder:
    """A router that keeps the calls and answers with what a test told it, or the first argument."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {}
        self._submitted: dict[int, Any] = {}

    def call(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append((method, args, kwargs))
        if method in self.answers:
            return self.answers[method]
        return args[0] if args else None

    def submit(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        number = len(self._submitted)
        self._submitted[number] = self.call(ref, method, args, kwargs)
        return number

    def collect(self, call: int) -> Any:
        return self._submitted[call]


ROUTER = Recorder()
"""Operators live as long as the process, and so does the first router they were given."""


@pytest.fixture
def router() -> Recorder:
    ROUTER.calls.clear()
    ROUTER.answers.clear()
    return ROUTER


def defined(interface: Interface) -> LoadedStub:
    """The stub of an interface with its operators; loading it again gives the same."""
    stub = load_stub(render(interface, form="scripted"))
    define_operators(stub.declaration, stub.dispatcher_methods, ROUTER)
    return stub


def unshared(interface: Interface) -> Interface:
    """``interface`` and one more method: equal interfaces share operators, also with other tests."""
    extra = Method("only_here", (Argument("x", TENSOR, default=Default("None")),), TENSOR)
    return dataclasses.replace(interface, methods=(*interface.methods, extra))


def instance(stub: LoadedStub) -> nn.Module:
    """A handle as the runtime makes it, with nobody behind it but the router."""

    class Engine:
        def prepare_script(self, module: nn.Module) -> None: ...

    class Cluster:
        engine = Engine()

        def on_close(self, callback: Callable[[], None]) -> None: ...

    class Client:
        cluster = Cluster()

    module: Any = stub.cls.__new__(stub.cls)
    nn.Module.__init__(module)
    module._ref = "somewhere"
    module.is_scriptable = True
    client: Any = Client()
    DIRECTORY.keep(module._ref, client)  # what is known already is not published
    object.__setattr__(module, "_client", client)
    return module


def scripted(case: str, name: str) -> Any:
    importlib.import_module(case)
    return torch.jit.script(instance(defined(unshared(read_interface(f"{case}.py:{name}")))))


def made(*arguments: Argument, returns: Type = TENSOR) -> Interface:
    """An interface that no other test has."""
    forward = Method("forward", arguments, returns)
    extra = Argument(f"extra{next(NUMBERS)}", PLAIN["int"], default=Default("0"))
    other = Method("other", (extra,), TENSOR)
    return Interface("Made", "nowhere", "Made", "interface", (forward, other))


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("plain", "Plain"),
        ("plain", "Nothing"),
        ("literals", "Scripted"),
        ("named_tuples", "NamedTuples"),
        ("shadows", "ScriptedShadows"),
        ("methods", "Several"),
        ("long", "LongScripted"),
    ],
)
def test_golden_interface_compiles(case: str, name: str, golden: Path) -> None:
    """TorchScript compiles both halves of every method of the golden scripted stubs."""
    module = scripted(case, name)
    for method in read_interface(f"{case}.py:{name}").remote_methods:
        assert method.name in module._c._method_names()
        assert f"{method.name}_async" in module._c._method_names()


def test_values_of_every_type_go_and_come_back(golden: Path, router: Recorder) -> None:
    """What a scripted caller passes reaches the router as Python values, and comes back typed."""
    module = scripted("named_tuples", "NamedTuples")
    cases = importlib.import_module("named_tuples")
    pair = cases.Pair(T, 3)
    deep = cases.Deep(pair, [pair], None, 0.5)
    values: dict[str, list[Any]] = {
        "forward": [pair],
        "single": [cases.Single(T)],
        "optional_list": [None, [pair], []],
        "list_of_optional": [[pair, None], []],
        "dict_of_optional": [{"a": pair, "b": None}],
        "deep": [deep, cases.Deep(pair, [], pair, 1.0)],
        "deeper": [{"a": [deep]}],
        "colour": [cases.Colour.RED],
        "coloured": [(cases.Colour.BLUE, pair)],
        "anything": [T, 3, "a", [1, 2], None],
        "tuples": [[(1, T)], []],
    }
    for method, several in values.items():
        for value in several:
            result = getattr(module, method)(value)
            assert str(result) == str(value), method
            later = getattr(module, f"{method}_async")(value).wait()
            assert str(later) == str(value), method
            assert [str(c[1]) for c in router.calls[-2:]] == [str((value,))] * 2
            assert type(router.calls[-1][1][0]) is type(value)


def test_unions_optionals_and_enums_are_refined(golden: Path, router: Recorder) -> None:
    """A result that travels as Any has its own type again for the scripted caller."""
    module = scripted("named_tuples", "NamedTuples")
    cases = importlib.import_module("named_tuples")
    assert module.either(3, "x") == 3
    assert torch.equal(module.either(T, [1]), T)
    colours = [cases.Colour.RED, cases.Colour.BLUE]
    assert module.colours(colours, None, {"a": cases.Colour.RED}) == colours
    assert router.calls[-1][1] == (colours, None, {"a": cases.Colour.RED})
    router.answers["tuple_of_optional"] = (cases.Pair(T, 1), 2)
    assert module.tuple_of_optional((1, None))[1] == 2
    router.answers["optional"] = None
    assert module.optional(T) is None
    router.answers["mixed"] = (torch.device("cpu"), 1j)
    assert module.mixed(torch.device("cpu"), torch.float32, 2j) == (torch.device("cpu"), 1j)
    assert router.calls[-1][1] == (torch.device("cpu"), torch.float32, 2j, None)


def test_result_of_another_type_is_an_error(golden: Path, router: Recorder) -> None:
    """A value that is not of the declared type does not pass for one."""
    module = scripted("named_tuples", "NamedTuples")
    router.answers["either"] = "neither"
    with pytest.raises(torch.jit.Error, match="AssertionError"):
        module.either(3, 1)


def test_defaults_hold_for_scripted_callers(golden: Path, router: Recorder) -> None:
    """A scripted module has the interface's defaults."""
    module = scripted("literals", "Scripted")
    module.forward(T)
    assert router.calls[-1][1][1:] == (3, 0.5, "it's", False, None)


def test_parent_holds_it_by_interface(golden: Path, router: Recorder) -> None:
    """A scripted parent calls forward, forward_async and other methods of a submodule typed by interface."""
    cases = importlib.import_module("methods")
    router.answers["encode"] = [T, T]

    class Parent(nn.Module):
        remote: cases.Several

        def __init__(self, remote: nn.Module) -> None:
            super().__init__()
            self.remote = remote

        def forward(self, x: Tensor) -> Tensor:
            self.remote.reset()
            return self.remote.forward(x) + self.remote.encode(x, 3)[0]

    Parent.__annotations__["remote"] = cases.Several
    stub = defined(unshared(read_interface("methods.py:Several")))
    parent = torch.jit.script(Parent(instance(stub)))
    assert torch.equal(parent(T), T + T)
    assert [c[0] for c in router.calls] == ["reset", "forward", "encode"]


def test_no_call_is_optimised_away(golden: Path, router: Recorder) -> None:
    """Calls whose result nobody uses happen, and two equal calls are two."""
    stub = defined(unshared(read_interface("plain.py:Plain")))

    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.remote = instance(stub)

        def forward(self, x: Tensor) -> Tensor:
            self.remote(x)
            return self.remote(x) + self.remote(x)

    parent = torch.jit.script(Parent())
    for _ in range(3):  # the profiling executor optimises from the second run on
        router.calls.clear()
        parent(T)
        assert len(router.calls) == 3
    module = scripted("plain", "Nothing")
    for _ in range(3):
        router.calls.clear()
        module()
        assert router.calls == [("forward", (), {})]


def test_keyword_only_arguments_travel_by_name(router: Recorder) -> None:
    """A keyword-only argument reaches the owner as one."""
    interface = made(Argument("x", TENSOR), Argument("word", PLAIN["str"], Kind.KEYWORD_ONLY))
    module = torch.jit.script(instance(defined(interface)))
    module(T, word="b")
    assert router.calls[-1][2] == {"word": "b"}


def test_defining_twice_is_fine(router: Recorder) -> None:
    """Equal interfaces share one namespace of operators."""
    interface = made(Argument("x", TENSOR))
    assert defined(interface) is defined(interface)
    plain = load_stub(render(interface, form="scripted", device_moves=False))
    define_operators(plain.declaration, plain.dispatcher_methods, ROUTER)


def test_failed_definition_leaves_nothing_behind(router: Recorder) -> None:
    """After operators that torch refuses, the same namespace can be defined rightly."""
    stub = load_stub(render(made(Argument("x", TENSOR)), form="scripted"))
    operators = stub.dispatcher_methods
    bad = operators[1]._replace(arguments="Nonsense x")
    for _ in range(2):
        with pytest.raises(InterfaceError, match="Nonsense"):
            define_operators(stub.declaration, [operators[0], bad], ROUTER)
    define_operators(stub.declaration, operators, ROUTER)
    assert torch.equal(torch.jit.script(instance(stub))(T), T)


def test_failed_compilation_leaves_the_stub_usable(golden: Path, router: Recorder) -> None:
    """A parent that does not compile takes nothing from the next one."""
    stub = defined(made(Argument("x", TENSOR)))

    class Bad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.remote = instance(stub)

        def forward(self, x: Tensor) -> Tensor:
            return self.remote(x) + does_not_exist(x)  # noqa: F821

    with pytest.raises(RuntimeError, match="does_not_exist"):
        torch.jit.script(Bad())
    assert torch.equal(torch.jit.script(instance(stub))(T), T)


@pytest.mark.parametrize("kind", [Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD, Kind.POSITIONAL_ONLY])
def test_parameters_without_a_name_are_refused_before_compilation(kind: Kind) -> None:
    """What TorchScript has no words for never reaches it; the message names argument and reason."""
    with pytest.raises(InterfaceError, match=r"Made\.forward: 'rest' is .* TorchScript"):
        render(made(Argument("rest", TENSOR, kind)))
