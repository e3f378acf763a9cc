"""Compiles a stub's owner functions with TorchScript, so that torch's RPC runs them without Python."""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from remotemod.objects import ObjectNotFound, find, split_name
from remotemod.stub.loader import LoadedStub, load_stub
from remotemod.torch_compat.script import compile_script, interface_methods, without_advice

__all__ = ["Native", "NativeKey", "compiled", "declare", "declared", "importable_interface"]

_log = logging.getLogger("remotemod")


class Native:
    """A stub that TorchScript knows.

    Args:
        stub: the stub.
        name: where the user's own interface can be imported; None for the stub's own.

    Attributes:
        interface: the TorchScript interface that types the references.
    """

    def __init__(self, stub: LoadedStub, name: str | None) -> None:
        self._stub = stub
        self.name = name
        own = _own_interface(stub)
        if name is None:
            self.interface = own
            namespace = {**stub.module.__dict__, "torch": torch, "_own": own}
            # TorchScript looks names up in the frame that asks: they must mean what the stub means by them.
            # To find the source of a class, inspect asks for its module by name.
            sys.modules[own.__module__] = stub.module
            try:
                with without_advice():
                    eval("torch.jit.interface(_own)", namespace)
            finally:
                del sys.modules[own.__module__]
        else:
            self.interface = _find_interface(name)
            if self.interface is None:
                raise ImportError(f"no TorchScript interface {name} can be imported here")
            own.__torch_script_interface__ = self.interface.__torch_script_interface__

    @functools.cached_property
    def functions(self) -> Mapping[str, Callable[..., Any]] | None:
        """The compiled owner function of each native method; None where TorchScript refuses one."""
        methods, native = self._stub.remote_methods, self._stub.declaration.native
        try:
            return {name: compile_script(methods[name]) for name in native}
        except RuntimeError as error:
            _log.debug("%s has no native path: %s", self._stub.declaration.source, error)
            return None


def _own_interface(stub: LoadedStub) -> Any:
    first = stub.remote_methods[stub.declaration.native[0]]
    return first.__annotations__[next(iter(first.__annotations__))].__args__[0]


@dataclass(frozen=True, slots=True)
class NativeKey:
    """How calls name a module that TorchScript reaches: its typed reference and what runs there."""

    ref: Any
    functions: Mapping[str, Callable[..., Any]]


_LOCK = threading.RLock()
_DECLARED: dict[str, Native | None] = {}


def importable_interface(stub: LoadedStub, *, main: bool) -> str | None:
    """Where the user's own TorchScript interface of a stub can be imported, as ``module:qualname``.

    References are then typed by it, as torch's class does, so that they can be passed to the user's own
    scripted functions, and to workers that know the interface and not remotemod.

    Args:
        stub: the stub.
        main: whether ``__main__`` is the same on all workers.
    """
    source = stub.declaration.source
    if source.startswith("__main__:") and not main:
        return None
    interface = _find_interface(source)
    if interface is None:
        return None
    # What describes the remote module's own methods (forward_async) asks more of the module than we do.
    names = interface_methods(interface)
    return source if names is not None and names <= set(stub.declaration.methods) else None


def _find_interface(source: str) -> Any:
    try:
        found = find(*split_name(source), load=True)
    except (ImportError, ObjectNotFound):
        return None
    name = getattr(found, "__torch_script_interface__", None)
    # A mangled name was given to a second class of the same name; no other process has it.
    return found if name and "___torch_mangle" not in str(name) else None


def declare(stub: LoadedStub, interface: str | None) -> Native | None:
    """Makes TorchScript know a stub's interface, once.

    Args:
        stub: the stub.
        interface: where the user's own interface can be imported; None for the stub's own.

    Returns:
        None where the stub has nothing for TorchScript, or TorchScript refuses it, or this process knows
        the stub by another interface: compiled functions have one name and one type.
    """
    with _LOCK:
        known = load_stub(stub.text, stub.bound)
        if known.module is not stub.module:  # a file that somebody imported
            # TorchScript names functions after their module, and the owner has loaded the text.
            for method in stub.declaration.native:
                function = known.remote_methods[method]
                stub.module.__dict__[function.__name__] = function
        if stub.digest not in _DECLARED:
            native = None
            if stub.declaration.native:
                try:
                    native = Native(known, interface)
                except (ImportError, RuntimeError) as error:
                    _log.debug("%s has no native path here: %s", stub.declaration.source, error)
            _DECLARED[stub.digest] = native
        found = _DECLARED[stub.digest]
        return found if found is not None and found.name == interface else None


def declared(stub: str) -> Native | None:
    """What this process knows of a stub, by its digest."""
    return _DECLARED.get(stub)


def compiled(native: Native | None) -> Mapping[str, Callable[..., Any]] | None:
    """The compiled functions; None where TorchScript refuses them."""
    if native is None:
        return None
    with _LOCK:
        return native.functions
