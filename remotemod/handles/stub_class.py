"""The class of a remote module: generated for its interface, worked out once for each."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from remotemod.errors import InterfaceError
from remotemod.handles.directory import DIRECTORY
from remotemod.handles.signatures import with_signatures
from remotemod.interface.live.own_annotations import annotations_of
from remotemod.interface.live.script_module import live_class
from remotemod.interface.model import Interface
from remotemod.interface.types import Symbol
from remotemod.objects import split_name
from remotemod.process import Slot, cached, slot
from remotemod.stub.declaration import Stub
from remotemod.stub.loader import LoadedStub, load_stub, loaded_from_module
from remotemod.stub.operators import define_operators

__all__ = [
    "FactoryClass",
    "StubClass",
    "define_stub_operators",
    "stub_class_for",
    "user_class",
]


@dataclass(frozen=True)
class StubClass:
    """The class of a handle, its stub, and the interface that the owner should check.

    ``expected`` is ``(module, qualname, digest)`` of the class that a pre-generated stub came from.
    """

    cls: type
    stub: LoadedStub
    expected: tuple[str, str, str] | None = None


_BY_TARGET: Slot[weakref.WeakKeyDictionary[Any, dict[object, tuple[object, StubClass]]]] = slot(
    "the stub classes of interfaces and module classes", weakref.WeakKeyDictionary
)
_BY_FACTORY: Slot[weakref.WeakKeyDictionary[Any, dict[object, tuple[str, StubClass]]]] = slot(
    "the stub classes of the modules that factories made last", weakref.WeakKeyDictionary
)


def stub_class_for(cls: type, interface: Any, module_cls: Any, device: str) -> StubClass | None:
    """The class and the stub of a new handle.

    Args:
        cls: the handle's class: ``RemoteModule``, a subclass, or a generated stub.
        interface: the user's interface, if there is one.
        module_cls: builds the module.
        device: the module's device on its owner.

    Returns:
        None where only the owner can read the interface, because ``module_cls`` is a factory.

    Raises:
        InterfaceError: the interface cannot be read or expressed.
    """
    generated = _stub_of_class(cls)
    if generated is not None and interface is None:
        declared = generated.declaration
        return StubClass(cls, generated, (*split_name(declared.interface), declared.digest))
    moves = torch.device(device).type != "cpu"
    if isinstance(interface, Interface):
        return StubClass(*_of_interface(cls, interface, moves))
    target = interface if interface is not None else module_cls
    if interface is None and not _is_module_class(target):
        return None
    return _of_target(cls, target, moves)


def _is_module_class(module_cls: Any) -> bool:
    """Whether a value is a module class with a forward; some classes assign theirs to each instance."""
    is_class = isinstance(module_cls, type) and issubclass(module_cls, nn.Module)
    return is_class and module_cls.forward is not nn.Module.forward


class FactoryClass:
    """The stub class of a factory's modules, whose interface only the owner can read.

    Factories mostly make modules of one class: the owner gets the digest of the last interface, and describes the
    interface only if it is another one.

    Args:
        cls: the handle's class.
        factory: builds the module.
        device: the module's device on its owner.
    """

    def __init__(self, cls: type, factory: Any, device: str) -> None:
        self._cls = cls
        self._moves = torch.device(device).type != "cpu"
        self._factory = factory
        self._last: tuple[str, StubClass] | None = None
        with contextlib.suppress(TypeError):  # not every callable can be referred to weakly
            self._last = _BY_FACTORY.value.get(factory, {}).get((cls, self._moves))

    @property
    def known(self) -> str | None:
        """The digest of the last interface."""
        return None if self._last is None else self._last[0]

    def stub_class(self, interface: Interface | None) -> StubClass:
        """The stub class of an interface that the owner has described; None for the last one."""
        if interface is not None:
            # The interface promises no TorchScript types, so the stub is an eager one.
            eager = dataclasses.replace(interface, origin="module")
            self._last = interface.digest, StubClass(*_of_interface(self._cls, eager, self._moves))
            with contextlib.suppress(TypeError):
                _BY_FACTORY.value.setdefault(self._factory, {})[self._cls, self._moves] = self._last
        assert self._last is not None
        return self._last[1]


def _of_interface(cls: type, interface: Interface, moves: bool) -> tuple[type, LoadedStub]:
    stub = _make_stub(interface, {}, device_moves=moves)
    return with_signatures(cls, stub, {}), stub


def _of_target(cls: type, target: Any, moves: bool) -> StubClass:
    key = (cls, moves)
    forward = getattr(target, "forward", None)
    by_key = _BY_TARGET.value.get(target)
    if by_key is not None and key in by_key:
        old_forward, stub_class = by_key[key]
        if old_forward is forward:  # the method was not replaced since
            return stub_class
    from remotemod.interface.live.read import live_signatures
    from remotemod.interface.read import read_interface

    interface = read_interface(target)
    signatures = live_signatures(target)
    stub = _make_stub(interface, _objects(signatures.values()), device_moves=moves)
    stub_class = StubClass(with_signatures(cls, stub, signatures), stub)
    _BY_TARGET.value.setdefault(target, {})[key] = (forward, stub_class)
    return stub_class


def _objects(signatures: typing.Iterable[inspect.Signature]) -> dict[Symbol, object]:
    """The live classes that annotations name, for those that a stub cannot import."""
    classes: dict[Symbol, object] = {}
    for signature in signatures:
        annotations = [p.annotation for p in signature.parameters.values()]
        for annotation in (*annotations, signature.return_annotation):
            for cls in _classes(annotation):
                classes[Symbol(cls.__module__, cls.__qualname__)] = cls
    return classes


def _classes(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        yield annotation
        if hasattr(annotation, "_fields"):
            for inner in annotations_of(annotation).values():
                yield from _classes(inner)
    for inner in typing.get_args(annotation):
        yield from _classes(inner)


# --- stubs ------------------------------------------------------------------------------------


def _make_stub(
    interface: Interface, objects: Mapping[Symbol, object], *, device_moves: bool
) -> LoadedStub:
    """Render and load the stub of an interface.

    Args:
        interface: the interface.
        objects: the live classes behind the interface's symbols, for those that no import can reach.
        device_moves: whether the module lives on an accelerator.

    Raises:
        InterfaceError: the interface has no stub; the message names the reason.
    """
    text, symbols = _text(interface, device_moves)
    stub = load_stub(text, {name: _live(symbol, objects) for name, symbol in symbols.items()})
    define_stub_operators(stub)
    return stub


def _live(symbol: Symbol, objects: Mapping[Symbol, object]) -> object:
    # Annotations that are text hold no class; those of __main__ are looked up there.
    cls = objects.get(symbol) or live_class(symbol)
    if cls is None:
        raise InterfaceError(
            f"no class {symbol} can be found in this process",
            how="define it in a module, or annotate with the class itself and not with its name",
        )
    return cls


@cached(maxsize=1024)
def _text(interface: Interface, device_moves: bool) -> tuple[str, Mapping[str, Symbol]]:
    from remotemod.codegen.plan import plan_stub
    from remotemod.codegen.render import render_plan

    plan = plan_stub(interface, device_moves=device_moves)
    return render_plan(plan), types.MappingProxyType(plan.injected)


def define_stub_operators(stub: LoadedStub) -> None:
    """Define the operators of a scripted stub, once."""
    if stub.declaration.form == "scripted":
        define_operators(stub.declaration, stub.dispatcher_methods, DIRECTORY)


def _stub_of_class(cls: type) -> LoadedStub | None:
    """The stub of a generated class that was imported from a file; None for other classes."""
    for base in cls.__mro__:
        if _is_generated(base):
            return _stub_of_module(sys.modules[base.__module__])
    return None


def _is_generated(cls: type) -> bool:
    """Whether a stub declares the class."""
    stub = getattr(sys.modules.get(cls.__module__), "STUB", None)
    return isinstance(stub, Stub) and stub.cls is cls


@cached(maxsize=1024)
def _stub_of_module(module: types.ModuleType) -> LoadedStub:
    stub = loaded_from_module(module)
    define_stub_operators(stub)
    return stub


def user_class(cls: type) -> type:
    """The class below generated ones: ``RemoteModule`` or a user's subclass of it."""
    while True:
        base: type | None = cls.__dict__.get("_user_class")
        if base is None:
            base = cls.__bases__[0] if _is_generated(cls) else None
        if base is None:
            return cls
        cls = base
