"""Stubs of interfaces that nobody thought of."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from remotemod.codegen.render import render
from remotemod.errors import InterfaceError
from remotemod.interface.model import Argument, Default, Interface, Kind, Method
from remotemod.interface.read import read_interface
from remotemod.stub.loader import load_stub
from tests.codegen.conftest import REPOSITORY, Run
from tests.codegen.interfaces import interfaces

NUMBERS = itertools.count()
RELAXED = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def without_opaque(method: Method) -> Method:
    """``method`` with the defaults that only the owner knows reduced to the fact that there is one."""
    arguments = tuple(
        Argument(a.name, a.type, a.kind, a.default and _plain(a.default), a.annotated)
        for a in method.arguments
    )
    return Method(method.name, arguments, method.returns, method.annotated)


def _plain(default: Default) -> Default:
    omitted = default.form == "opaque" or default.text.endswith("OMITTED")
    return Default.opaque() if omitted else default


@RELAXED
@given(interface=interfaces(), moves=st.booleans())
def test_stub_reads_back_as_its_interface(
    interface: Interface, moves: bool, golden: Path, tmp_path: Path
) -> None:
    """``read(render(i)) == i``, from the file and from the class that it becomes."""
    importlib.import_module("named_tuples")  # of a class that nobody loaded only the name is known
    path = tmp_path / f"stub_{next(NUMBERS)}.py"
    path.write_text(render(interface, device_moves=moves), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [name] = module.__all__
    try:
        for again in (read_interface(f"{path}:{name}"), read_interface(getattr(module, name))):
            for method in interface.methods:
                assert without_opaque(again.method(method.name)) == without_opaque(method)
    finally:
        del sys.modules[path.stem]


@RELAXED
@given(interface=interfaces(), form=st.sampled_from(["eager", "scripted"]))
def test_signature_shows_the_interface(interface: Interface, form: str, golden: Path) -> None:
    """``inspect.signature`` has the interface's names, kinds and defaults in whatever form."""
    try:
        stub = load_stub(render(interface, form=form))
    except InterfaceError:
        assert form == "scripted"
        return
    for method in interface.methods:
        shown = list(inspect.signature(getattr(stub.cls, method.name)).parameters.values())[1:]
        assert [p.name for p in shown] == [a.name for a in method.arguments]
        assert [Kind(p.kind.value) for p in shown] == [a.kind for a in method.arguments]
        for parameter, argument in zip(shown, method.arguments, strict=True):
            if argument.default is None:
                assert parameter.default is inspect.Parameter.empty
            elif argument.default.form == "literal":
                value = eval(argument.default.text, {"float": float})
                assert repr(parameter.default) == repr(value)


def write_many(many: list[Interface], where: Path) -> None:
    """Writes every form of every interface, under names that no other file of this session has."""
    for interface in many:
        number = next(NUMBERS)
        for form in ("eager", "scripted"):
            try:
                text = render(interface, form=form, device_moves=bool(number % 2))
            except InterfaceError:
                continue
            (where / f"stub_{form}_{number}.py").write_text(text, encoding="utf-8")


def assert_clean(done: subprocess.CompletedProcess[str], where: Path) -> None:
    """Asserts that a tool has nothing to say; if it has, the first stubs are shown beside it."""
    shown = done.stdout + done.stderr
    if done.returncode:
        files = sorted({line.split(":")[0].strip(" ->") for line in shown.splitlines()})
        for file in files[:2]:
            if file.endswith(".py") and (where / file).is_file():
                shown += "\n" + (where / file).read_text()
    assert done.returncode == 0, shown


def run(command: list[str], where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=where, capture_output=True, text=True, check=False
    )


COMMANDS: dict[str, list[str]] = {
    "ruff": ["ruff", "check", "--isolated", "--no-cache", "--output-format", "concise", "."],
    "house rules": [
        *("ruff", "check", "--no-cache", "--output-format", "concise"),
        *("--config", str(REPOSITORY / "pyproject.toml"), "."),
    ],
    "format": ["ruff", "format", "--check", "--isolated", "--no-cache", "--diff", "."],
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", [*COMMANDS, "mypy"])
def test_tools_have_nothing_to_say(
    tool: str, golden: Path, strict_mypy: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Linter, formatter and type checker accept stubs of any interface."""

    # Without shrinking: a case that fails shows its own text, and each try costs a process.
    @settings(RELAXED, max_examples=2 if tool == "mypy" else 4, phases=[Phase.generate])
    @given(
        eager=st.lists(interfaces(), min_size=15, max_size=15),
        scripted=st.lists(interfaces(scriptable=True), min_size=15, max_size=15),
    )
    def check(eager: list[Interface], scripted: list[Interface]) -> None:
        where = tmp_path_factory.mktemp("many")
        write_many([*eager, *scripted], where)
        assert_clean(strict_mypy(where) if tool == "mypy" else run(COMMANDS[tool], where), where)

    check: Callable[[], None]
    importlib.import_module("named_tuples")
    check()
