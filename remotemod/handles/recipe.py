"""The class and the stub of a new remote module, worked out once for each interface."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import typing
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from remotemod.handles.stub_class import make_stub, stub_of_class, with_signatures
from remotemod.interface.live.own_annotations import annotations_of
from remotemod.interface.model import Interface
from remotemod.interface.types import Symbol
from remotemod.objects import split_name
from remotemod.stub.loader import LoadedStub

__all__ = ["Described", "Recipe", "recipe_for"]


@dataclass(frozen=True)
class Recipe:
    """The class that a handle gets, its stub, and what the owner should check.

    ``expected`` is ``(module, qualname, digest)`` of the class that a pre-generated stub came from.
    """

    cls: type
    stub: LoadedStub
    expected: tuple[str, str, str] | None = None


_KNOWN: weakref.WeakKeyDictionary[Any, dict[object, tuple[object, Recipe]]]
_KNOWN = weakref.WeakKeyDictionary()
_SEEN: weakref.WeakKeyDictionary[Any, dict[object, tuple[str, Recipe]]]
_SEEN = weakref.WeakKeyDictionary()


def recipe_for(cls: type, interface: Any, module_cls: Any, device: str) -> Recipe | None:
    """The recipe for a new handle.

    Args:
        cls: the handle's class: ``RemoteModule``, a subclass, or a generated stub.
        interface: what the user named as interface, if anything.
        module_cls: what builds the module.
        device: the module's device on its owner.

    Returns:
        None where only the owner can tell, because nothing here says what ``module_cls`` returns.

    Raises:
        InterfaceError: the interface cannot be read or expressed.
    """
    generated = stub_of_class(cls)
    if generated is not None and interface is None:
        declared = generated.declaration
        return Recipe(cls, generated, (*split_name(declared.interface), declared.digest))
    moves = torch.device(device).type != "cpu"
    if isinstance(interface, Interface):
        return Recipe(*_named(cls, interface, moves))
    target = interface if interface is not None else module_cls
    if interface is None and not _tells_its_interface(target):
        return None
    return _recipe_of_target(cls, target, moves)


def _tells_its_interface(module_cls: Any) -> bool:
    """Whether this is a module class with a forward; some assign theirs to each instance."""
    known = isinstance(module_cls, type) and issubclass(module_cls, nn.Module)
    return known and module_cls.forward is not nn.Module.forward


class Described:
    """The recipe for what a factory makes, which only the owner can tell.

    Factories mostly make the same again: the owner is told the interface that was seen last, and describes another
    one only.

    Args:
        cls: the handle's class.
        factory: builds the module.
        device: the module's device on its owner.
    """

    def __init__(self, cls: type, factory: Any, device: str) -> None:
        self._cls = cls
        self._moves = torch.device(device).type != "cpu"
        self._factory = factory
        self._seen: tuple[str, Recipe] | None = None
        with contextlib.suppress(TypeError):  # not every callable can be referred to weakly
            self._seen = _SEEN.get(factory, {}).get((cls, self._moves))

    @property
    def known(self) -> str | None:
        """The digest of the interface that was seen last."""
        return None if self._seen is None else self._seen[0]

    def recipe(self, interface: Interface | None) -> Recipe:
        """The recipe for what the owner has described; None for the one that is known."""
        if interface is not None:
            # Nobody promised TorchScript types here, so the stub is an eager one.
            eager = dataclasses.replace(interface, origin="module")
            self._seen = interface.digest, Recipe(*_named(self._cls, eager, self._moves))
            with contextlib.suppress(TypeError):
                _SEEN.setdefault(self._factory, {})[self._cls, self._moves] = self._seen
        assert self._seen is not None
        return self._seen[1]


def _named(cls: type, interface: Interface, moves: bool) -> tuple[type, LoadedStub]:
    stub = make_stub(interface, {}, device_moves=moves)
    return with_signatures(cls, stub, {}), stub


def _recipe_of_target(cls: type, target: Any, moves: bool) -> Recipe:
    key = (cls, moves)
    forward = getattr(target, "forward", None)
    known = _KNOWN.get(target)
    if known is not None and key in known:
        seen, recipe = known[key]
        if seen is forward:  # nobody has replaced the method since
            return recipe
    from remotemod.interface.live.read import live_signatures
    from remotemod.interface.read import read_interface

    interface = read_interface(target)
    signatures = live_signatures(target)
    stub = make_stub(interface, _objects(signatures.values()), device_moves=moves)
    recipe = Recipe(with_signatures(cls, stub, signatures), stub)
    _KNOWN.setdefault(target, {})[key] = (forward, recipe)
    return recipe


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
