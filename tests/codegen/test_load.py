"""A stub's text becomes a module: once, whole or not at all, and visible to whoever debugs it."""

from __future__ import annotations

import inspect
import linecache
import sys
import threading
import traceback
from collections.abc import Iterator
from types import ModuleType

import pytest

from remotemod.codegen.render import render
from remotemod.errors import InterfaceMismatch
from remotemod.interface.model import Argument, Interface, Method
from remotemod.interface.naming import file_names
from remotemod.interface.types import TENSOR, OtherType, Symbol
from remotemod.stub import loader as load
from remotemod.stub.loader import load_stub, loaded_from_module
from remotemod.stub.versions import STUB_ABI


def interface(module: str = "pkg.mod", name: str = "Backbone") -> Interface:
    forward = Method("forward", (Argument("x", TENSOR),), TENSOR)
    return Interface(name, module, name, "module", (forward,))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Makes sure that a failed load leaves no trace."""
    cache, lines = set(load._LOADED.value), set(linecache.cache)
    yield
    assert set(load._LOADED.value) == cache
    assert {n for n in linecache.cache if n.startswith("<remotemod")} <= lines


def test_traceback_shows_the_generated_line() -> None:
    """Who debugs a call sees the generated code in the traceback."""
    stub = load_stub(render(interface()))
    with pytest.raises(AttributeError) as caught:
        stub.remote_methods["forward"](None, "cpu", False, None)
    text = "".join(traceback.format_exception(caught.value))
    assert "module = module_rref.local_value()" in text


def test_source_of_a_generated_method_can_be_had() -> None:
    """``inspect.getsource`` finds the text of classes, methods and functions."""
    stub = load_stub(render(interface()))
    forward = stub.cls.__dict__["forward"]
    assert inspect.getsource(forward).startswith("    def forward(self, x: Tensor) -> Tensor:")
    assert inspect.getsource(stub.remote_methods["forward"]) in stub.text
    linecache.checkcache()
    assert "self._call" in inspect.getsource(forward)


def test_same_text_loads_once() -> None:
    """Equal stubs are one module."""
    assert load_stub(render(interface())) is load_stub(render(interface()))


def test_forms_do_not_share_an_entry() -> None:
    """The device-moving and the plain variant are different modules, and so are eager and scripted."""
    texts = {
        render(interface(), form=form, device_moves=moves)
        for form in ("eager", "scripted")
        for moves in (True, False)
    }
    assert len({id(load_stub(text).module) for text in texts}) == 4


def test_like_named_interfaces_do_not_collide() -> None:
    """``a_b.c.I`` and ``a.b_c.I`` get modules and files of their own."""
    one, two = interface("a_b.c", "I"), interface("a.b_c", "I")
    assert load_stub(render(one)) is not load_stub(render(two))
    assert load_stub(render(one)).declaration.interface == "a_b.c:I"
    assert len(set(file_names([one, two]).values())) == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def broken(:\n", SyntaxError),
        ("raise ValueError('at import')\n", ValueError),
        ("import does_not_exist_anywhere\n", ModuleNotFoundError),
        ("x = 1\n", InterfaceMismatch),
        ("STUB = 3\n__all__ = ['STUB']\n", InterfaceMismatch),
    ],
    ids=["syntax", "raises", "import", "no stub", "another STUB"],
)
def test_failing_text_leaves_nothing_behind(
    nothing_left: None, text: str, error: type[Exception]
) -> None:
    """A text that fails is in no cache, so that the next try starts anew; the error stays the same."""
    for _ in range(2):
        with pytest.raises(error):
            load_stub(text)


def test_truncated_stub_leaves_nothing_behind(nothing_left: None) -> None:
    """Half a stub is refused."""
    whole = render(interface("pkg", "Truncated"))
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever error half a file gives
        load_stub(whole[: whole.index("STUB = ")])


def test_threads_get_one_whole_module() -> None:
    """Who asks while another thread loads waits for the same, complete module."""
    text = render(interface("pkg", "Threaded"))
    found: list[load.LoadedStub] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        stub = load_stub(text)
        assert stub.remote_methods["forward"]
        found.append(stub)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(stub) for stub in found}) == 1


@pytest.mark.parametrize(
    ("abi", "side"),
    [(0, "regenerate the stub: remotemod gen pkg.mod:Backbone -o DIR"), (99, "upgrade remotemod")],
)
def test_another_abi_names_the_side_to_mend(nothing_left: None, abi: int, side: str) -> None:
    """A stub of another ABI fails at once and says what to regenerate."""
    text = render(interface()).replace(f"abi={STUB_ABI},", f"abi={abi},")
    with pytest.raises(InterfaceMismatch, match=side):
        load_stub(text)


def test_bound_names_are_part_of_the_key() -> None:
    """A stub for a class that no import reaches is loaded once for each such class."""

    class Local:
        pass

    class Other:
        pass

    local = OtherType(Symbol("here", "f.<locals>.Local"))
    forward = Method("forward", (Argument("x", local),), TENSOR)
    text = render(Interface("I", "here", "I", "interface", (forward,)), form="scripted")
    one, two = load_stub(text, {"Local": Local}), load_stub(text, {"Local": Other})
    assert one is not two
    assert one.module.Local is Local
    assert one is load_stub(text, {"Local": Local})


def test_imported_file_is_a_stub_too(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generated file that somebody imported is the same stub as its text."""
    text = render(interface("pkg", "Imported"))
    (tmp_path / "remote_imported.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    module: ModuleType = __import__("remote_imported")
    try:
        stub = loaded_from_module(module)
        assert stub.text == text
        assert stub.cls is module.RemoteImported
        assert stub.digest == load_stub(text).digest
    finally:
        del sys.modules["remote_imported"]
