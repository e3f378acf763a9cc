"""What ``module:qualname`` stands for: found without running code, also while another thread imports the module."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from remotemod.hints import did_you_mean
from remotemod.objects import ObjectNotFound, attribute, find, find_or_none, split_name


class Outer:
    """Holds a class."""

    class Inner:
        """Is held."""

        inherited = 1

    @property
    def computed(self) -> int:
        raise AssertionError("this runs code")


class Derived(Outer.Inner):
    """Stores nothing itself."""


HERE = Outer.__module__


def test_nested_names_are_found() -> None:
    """A path leads through modules and classes."""
    assert find(*split_name(f"{HERE}:Outer.Inner")) is Outer.Inner


@pytest.mark.parametrize(
    "name", ["Nothing", "Outer.Nothing", "HERE.upper", "Derived.inherited", ""], ids=repr
)
def test_what_is_not_stored_there_is_not_found(name: str) -> None:
    """Neither what instances and base classes would give, nor nothing at all."""
    assert find_or_none(HERE, name) is None
    with pytest.raises(ObjectNotFound, match=f"{HERE}' has no attribute '{name}'"):
        find(HERE, name)


def test_a_module_is_loaded_on_demand_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``load`` a name of somebody's runs no module; with it, errors of the import are the caller's to see."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "found_late.py").write_text("class Late: pass\n")
    with pytest.raises(ObjectNotFound):
        find("found_late", "Late")
    assert "found_late" not in sys.modules
    assert find("found_late", "Late", load=True).__module__ == "found_late"
    with pytest.raises(ModuleNotFoundError):
        find("found_never", "Late", load=True)


SLOW = """
import sys
sys.modules["tests_gate"].entered.set()
assert sys.modules["tests_gate"].go_on.wait(60)
class Late: pass
"""


@pytest.mark.parametrize("load", [False, True])
def test_an_import_under_way_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: bool
) -> None:
    """A half-imported module is not taken for one that lacks the name."""
    gate = type(sys)("tests_gate")
    gate.entered, gate.go_on = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_gate", gate)
    monkeypatch.syspath_prepend(tmp_path)
    module = f"found_slowly_{load}"
    (tmp_path / f"{module}.py").write_text(SLOW)
    importing = threading.Thread(target=__import__, args=(module,))
    importing.start()
    assert gate.entered.wait(60)
    assert find_or_none(module, "Late") is None
    threading.Timer(0.05, gate.go_on.set).start()
    assert find(module, "Late", load=load).__name__ == "Late"
    importing.join()


def test_what_a_person_names_may_be_anything() -> None:
    """Attributes of objects count too, and the error has what a hint needs."""
    module = sys.modules[HERE]
    assert attribute(module, "Derived.inherited") == 1
    with pytest.raises(ObjectNotFound) as caught:
        attribute(module, "Outer.Iner")
    assert did_you_mean(caught.value.missing, caught.value.names) == "did you mean 'Inner'?"


def test_hints_name_what_is_close() -> None:
    """Up to three names, each once, the closest first; nothing where nothing is close."""
    names = ["trainer", "ps30", "ps", "ps30"]
    assert did_you_mean("ps3", names) == "did you mean 'ps30' or 'ps'?"
    assert did_you_mean("forwrad", ["forward"], lead="; ") == "; did you mean 'forward'?"
    assert did_you_mean("xyz", ["forward"], lead="; ") == ""
