"""Golden stubs: what the generator writes for every kind of signature, compared file by file.

An interface is golden once, in the form that shows most: scripted where it can be, with device moves. ``Plain`` is
golden in all four forms, which shows how they differ. Every stub is linted, type-checked, compiled and run in all its forms.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remotemod.codegen.check import check_for_file
from remotemod.codegen.generate import generate
from remotemod.codegen.plan import plan_stub
from remotemod.codegen.render import render
from remotemod.interface.model import Interface, Kind
from remotemod.interface.naming import stub_file_name
from remotemod.interface.read import read_interfaces
from remotemod.stub.declaration import Form
from remotemod.stub.loader import load_stub
from remotemod.version import VERSION
from tests.codegen.conftest import GOLDEN, REPOSITORY, Run

CASES = sorted(p.stem for p in (GOLDEN / "cases").glob("*.py"))
ERRORS = sorted(p.stem for p in (GOLDEN / "errors").glob("*.py"))


def stubs(case: str) -> list[tuple[Interface, Form, bool]]:
    """Every form in which the interfaces of a case are generated."""
    found: list[tuple[Interface, Form, bool]] = []
    for interface in read_interfaces(f"{case}.py"):
        forms: tuple[Form, ...] = ("eager", "scripted") if interface.scriptable else ("eager",)
        found += [(interface, form, moves) for form in forms for moves in (True, False)]
    return found


def rendered(interface: Interface, form: Form, moves: bool) -> str:
    """A stub's text, whatever version wrote it."""
    text = render(interface, form=form, device_moves=moves)
    return text.replace(f"remotemod {VERSION}", "remotemod VERSION")


def golden_stubs(case: str) -> list[tuple[Interface, Form, bool]]:
    """The forms that are golden."""
    return [
        (interface, form, moves)
        for interface, form, moves in stubs(case)
        if interface.name == "Plain"
        or (moves and form == ("scripted" if interface.scriptable else "eager"))
    ]


def relative_path(interface: Interface, form: Form, moves: bool) -> Path:
    """A file for each form of each interface, a folder for each form."""
    return Path(f"{form}_{'moves' if moves else 'plain'}") / stub_file_name(interface)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stub of every case as a file, a folder for each form."""
    top = tmp_path_factory.mktemp("stubs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(GOLDEN / "cases")
        patch.syspath_prepend(str(GOLDEN / "cases"))
        for case in CASES:
            for stub in stubs(case):
                path = top / relative_path(*stub)
                path.parent.mkdir(exist_ok=True)
                path.write_text(rendered(*stub), encoding="utf-8")
    return top


@pytest.mark.parametrize("case", CASES)
def test_stub_is_the_golden_one(case: str, golden: Path, update_golden: bool) -> None:
    """A stub is what it was, unless somebody said so."""
    for stub in golden_stubs(case):
        path, text = golden / "expected" / relative_path(*stub), rendered(*stub)
        if update_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, "pytest tests/codegen --update-golden"


@pytest.mark.parametrize("case", CASES)
def test_stub_compiles_runs_and_shows_the_signature(case: str, golden: Path) -> None:
    """The generated class has the interface's names, kinds and defaults, as ``inspect`` shows them."""
    for interface, form, moves in stubs(case):
        stub = load_stub(render(interface, form=form, device_moves=moves))
        for method in interface.remote_methods:
            if method.name not in stub.declaration.methods:
                continue
            for name in (method.name, f"{method.name}_async"):
                shown = list(inspect.signature(getattr(stub.cls, name)).parameters.values())[1:]
                assert [p.name for p in shown] == [a.name for a in method.arguments]
                assert [Kind(p.kind.value) for p in shown] == [a.kind for a in method.arguments]
                given = [p.default is not inspect.Parameter.empty for p in shown]
                assert given == [a.default is not None for a in method.arguments]


def test_defaults_are_the_values_of_the_interface(golden: Path) -> None:
    """Every default that can be written has the value that it has in the source."""
    import importlib

    for case, name in (("literals", "Literals"), ("references", "References")):
        live = getattr(importlib.import_module(case), name)
        [interface] = [i for i in read_interfaces(f"{case}.py") if i.name == name]
        stub = load_stub(render(interface))
        mine = inspect.signature(stub.cls.__dict__["forward"]).parameters
        for parameter in inspect.signature(live.forward).parameters.values():
            if parameter.default is inspect.Parameter.empty or parameter.name == "settings":
                continue
            got, expected = mine[parameter.name].default, parameter.default
            assert type(got) is type(expected)
            assert got == expected or got != got, parameter.name


@pytest.mark.parametrize("case", ERRORS)
def test_error_is_the_golden_one(
    case: str, golden: Path, update_golden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be generated is refused with file, line, reason and a hint."""
    monkeypatch.chdir(golden / "errors")
    source = f"{case}.py"
    words = Path(source).read_text().partition("\n")[0].split()[1:]
    form: Form = "scripted" if "scripted" in words else "eager"
    target = source + "".join(word for word in words if word.startswith(":"))
    [outcome] = generate(target, None, form=form)
    text = str(outcome.error).replace(str(golden / "errors") + os.sep, "") + "\n"
    path = golden / "errors" / f"{case}.txt"
    if update_golden:
        path.write_text(text)
    assert path.read_text() == text


def test_every_golden_stub_has_a_case(golden: Path) -> None:
    """A golden file whose case is gone is gone too."""
    expected = {relative_path(*stub) for case in CASES for stub in golden_stubs(case)}
    top = golden / "expected"
    assert {path.relative_to(top) for path in top.glob("*/*.*")} == expected


def test_stubs_can_stand_in_files(golden: Path) -> None:
    """Nothing in a golden stub needs a loader that binds names."""
    for case in CASES:
        for interface, form, moves in stubs(case):
            plan = plan_stub(interface, source=case, version="0", form=form, device_moves=moves)
            check_for_file(plan, render(interface, form=form, device_moves=moves))


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--isolated"],
        ["check", "--config", str(REPOSITORY / "pyproject.toml")],
        ["format", "--check", "--isolated"],
    ],
    ids=["default rules", "the project's rules", "format"],
)
def test_golden_stubs_are_clean_for_ruff(arguments: list[str], written: Path) -> None:
    """Linter and formatter have nothing to say about generated code."""
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_golden_stubs_are_clean_for_strict_mypy(strict_mypy: Run, written: Path) -> None:
    """A strict type checker accepts every golden stub, each form's as a package."""
    done = strict_mypy(written)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"in {len(list(written.glob('*/*.py')))} source files" in done.stdout
