"""Makes the class of a remote module out of its interface and its stub."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from remotemod.errors import InterfaceError
from remotemod.handles.directory import DIRECTORY
from remotemod.interface.live.script_module import live_class
from remotemod.interface.model import Interface
from remotemod.interface.types import Symbol
from remotemod.stub.declaration import Stub
from remotemod.stub.loader import LoadedStub, load_stub, loaded_from_module
from remotemod.stub.operators import define_operators

__all__ = [
    "define_stub_operators",
    "make_stub",
    "stub_of_class",
    "user_class",
    "with_signatures",
]


def make_stub(
    interface: Interface, objects: Mapping[Symbol, object], *, device_moves: bool
) -> LoadedStub:
    """Render and load the stub of an interface.

    Args:
        interface: the interface.
        objects: the live classes behind the interface's symbols, for those that no import can reach.
        device_moves: whether the module lives on an accelerator.

    Raises:
        InterfaceError: the interface has no stub (the message says which part).
    """
    text, symbols = _text(interface, device_moves)
    stub = load_stub(text, {name: _live(symbol, objects) for name, symbol in symbols.items()})
    define_stub_operators(stub)
    return stub


def _live(symbol: Symbol, objects: Mapping[Symbol, object]) -> object:
    # Annotations that are text name no class themselves; those of __main__ are found there.
    cls = objects.get(symbol) or live_class(symbol)
    if cls is None:
        raise InterfaceError(
            f"no class {symbol} can be found in this process",
            how="define it in a module, or annotate with the class itself and not with its name",
        )
    return cls


@functools.lru_cache(maxsize=1024)
def _text(interface: Interface, device_moves: bool) -> tuple[str, Mapping[str, Symbol]]:
    from remotemod.codegen.plan import plan_stub
    from remotemod.codegen.render import render_plan

    plan = plan_stub(interface, device_moves=device_moves)
    return render_plan(plan), types.MappingProxyType(plan.injected)


def define_stub_operators(stub: LoadedStub) -> None:
    """Define the operators of a scripted stub, once."""
    if stub.declaration.form == "scripted":
        define_operators(stub.declaration, stub.dispatcher_methods, DIRECTORY)


def stub_of_class(cls: type) -> LoadedStub | None:
    """The stub behind a generated class that somebody imported from a file; None for other classes."""
    for base in cls.__mro__:
        if _is_generated(base):
            return _stub_of_module(sys.modules[base.__module__])
    return None


def _is_generated(cls: type) -> bool:
    """Whether a stub declares the class."""
    stub = getattr(sys.modules.get(cls.__module__), "STUB", None)
    return isinstance(stub, Stub) and stub.cls is cls


@functools.lru_cache(maxsize=1024)
def _stub_of_module(module: types.ModuleType) -> LoadedStub:
    stub = loaded_from_module(module)
    define_stub_operators(stub)
    return stub


def with_signatures(
    cls: type, stub: LoadedStub, signatures: Mapping[str, inspect.Signature]
) -> type:
    """The class that a remote module becomes: the stub's, showing the live interface's signatures.

    Generated annotations are text; the interface's own may be objects that only its author has.

    Args:
        cls: ``RemoteModule`` or a user's subclass of it; its own methods win.
        stub: the stub.
        signatures: the live signatures, without ``self``.
    """
    members: dict[str, Any] = {
        "__module__": stub.cls.__module__,
        "__doc__": stub.cls.__doc__,
        "_user_class": cls,
    }
    for name in stub.declaration.methods:
        live = signatures.get(name)
        if live is None:
            continue
        members[name] = _showing(stub.cls.__dict__[name], live)
        future = inspect.signature(stub.cls.__dict__[f"{name}_async"]).return_annotation
        members[f"{name}_async"] = _showing(
            stub.cls.__dict__[f"{name}_async"], live.replace(return_annotation=future)
        )
    bases = (stub.cls,) if issubclass(stub.cls, cls) else (cls, stub.cls)
    return type(stub.cls.__name__ if bases[0] is stub.cls else cls.__name__, bases, members)


def user_class(cls: type) -> type:
    """The class below what was generated: ``RemoteModule`` or a user's subclass of it."""
    while True:
        below: type | None = cls.__dict__.get("_user_class")
        if below is None:
            below = cls.__bases__[0] if _is_generated(cls) else None
        if below is None:
            return cls
        cls = below


def _showing(function: Callable[..., Any], live: inspect.Signature) -> Callable[..., Any]:
    """A copy of a generated method that shows another signature."""
    assert isinstance(function, types.FunctionType)
    copied = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(copied, function)
    del copied.__wrapped__  # type: ignore[attr-defined]  # inspect would follow it past the signature
    copied.__kwdefaults__ = function.__kwdefaults__
    parameters = list(live.parameters.values())
    positional = inspect.Parameter.POSITIONAL_ONLY
    if not parameters or parameters[0].kind is not positional:
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD  # type: ignore[assignment]
    me = inspect.Parameter("self_" if "self" in live.parameters else "self", positional)
    shown = live.replace(parameters=[me, *parameters])
    copied.__signature__ = shown  # type: ignore[attr-defined]
    return copied
