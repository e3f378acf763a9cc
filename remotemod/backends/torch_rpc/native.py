"""Load and compile the code that TorchScript runs over torch's RPC: typed references, owner functions, handles."""

from __future__ import annotations

import functools
import logging
import sys
import threading
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from remotemod.handles.members import operator_class, own_client
from remotemod.handles.module import RemoteModule
from remotemod.handles.signatures import copied_method
from remotemod.objects import ObjectNotFound, find, split_name
from remotemod.process import Slot, cached, slot
from remotemod.stub.loader import LoadedStub, load_module, text_digest
from remotemod.stub.operators import export
from remotemod.torch_compat.script import compile_script, interface_methods, without_advice

__all__ = ["Native", "NativeKey", "NativePath", "compiled", "declare", "declared", "native_path"]

_log = logging.getLogger("remotemod")


class NativePath(NamedTuple):
    """The addition to a stub for callers that reach its modules by TorchScript.

    Attributes:
        text: the text that TorchScript compiles; see :mod:`remotemod.backends.torch_rpc.script_text`.
        interface: where the user's own interface can be imported, as ``module:qualname``; None for the text's.
    """

    text: str
    interface: str | None


class Native:
    """A native path that this process has loaded.

    Attributes:
        path: the path.
        interface: the TorchScript interface that types the references.
    """

    def __init__(self, path: NativePath) -> None:
        self.path = path
        name = f"remotemod_torch_rpc_{text_digest(path.text)}"
        self._names = vars(sys.modules.get(name) or load_module(path.text, name, {}))
        own = self._names["Interface"]
        if path.interface is None:
            self.interface = own
            # TorchScript looks names up in the frame that asks: they must mean what the text means by them.
            with without_advice():
                eval("torch.jit.interface(_own)", {**self._names, "torch": torch, "_own": own})
        else:
            self.interface = _find_interface(path.interface)
            if self.interface is None:
                raise ImportError(f"no TorchScript interface {path.interface} can be imported here")
            own.__torch_script_interface__ = self.interface.__torch_script_interface__

    @functools.cached_property
    def functions(self) -> Mapping[str, Callable[..., Any]] | None:
        """The compiled owner function of each method; None where TorchScript refuses one."""
        try:
            return {name: compile_script(f) for name, f in self._names["REMOTE"].items()}
        except RuntimeError as error:
            _log.debug("%s has no native path: %s", self._names["__name__"], error)
            return None

    def prepare(self, handle: RemoteModule, seconds: float, caller: str) -> None:
        """Make a handle one whose compiled form calls by torch's RPC itself.

        Args:
            handle: the handle.
            seconds: the timeout of its calls, as torch's RPC takes it.
            caller: the name of this process, as profiles show it.
        """
        label = f"({caller} -> {handle.on})"
        vars(handle).update(_seconds=seconds, _route=label)
        if operator_class(type(handle)) is None:  # or it was prepared before
            cls: type = type(handle)
            generated = own_client(handle).loaded.cls
            handle.__class__ = _handle_class(cls, generated, self._names["Handle"])


class _NativeHandle:
    """The refusals of a handle whose compiled form holds a reference of torch's."""

    # Compiled code calls by the reference here.
    __jit_ignored_attributes__ = ["_client"]  # noqa: RUF012 - TorchScript's own name

    @export
    def __getstate__(self) -> None:
        # TorchScript compiles this, and knows no globals.
        raise RuntimeError(
            "Cannot pickle RemoteModule in python pickler. RemoteModule can only be pickled when using RPC. "
            "To keep its weights, save state_dict() of the handle that was scripted; to give it to another "
            "worker, pass it as an argument of a remote call"
        )


@cached(maxsize=1024)
def _handle_class(cls: type, generated: type, methods: type) -> type:
    """A class of handles with the methods of a native path in the place of the generated ones; a user's own stay."""
    members: dict[str, Any] = {
        "__module__": cls.__module__,
        "__doc__": cls.__doc__,
        "_user_class": cls,
        "_operator_class": cls,
    }
    for name, function in vars(methods).items():
        if not isinstance(function, types.FunctionType):
            continue
        own = getattr(getattr(cls, name), "__code__", None)
        if own is generated.__dict__[name].__code__:
            members[name] = export(copied_method(function, getattr(cls, name)))
    return type(cls.__name__, (_NativeHandle, cls), members)


@dataclass(frozen=True, slots=True)
class NativeKey:
    """The key of a module that TorchScript reaches: its typed reference and the owner's functions."""

    ref: Any
    functions: Mapping[str, Callable[..., Any]]


_LOCK: Slot[threading.RLock] = slot(
    "guards the declared native paths", threading.RLock, in_child="new"
)
_DECLARED: Slot[dict[str, Native | None]] = slot(
    "the declared native paths, by the digests of their stubs", dict, lasting=True
)


@cached(maxsize=1024)
def _text(stub: LoadedStub) -> str | None:
    if not stub.contents.operators:
        return None
    from remotemod.backends.torch_rpc.script_text import script_text

    try:
        return script_text(stub)
    except ImportError as error:  # without jinja2 a stub from a file is called by operators
        _log.debug("%s has no native path: %s", stub.declaration.interface, error)
        return None


def native_path(stub: LoadedStub, *, main: bool) -> NativePath | None:
    """The native path of a stub; None where it has none.

    References are typed by the user's own TorchScript interface where that can be imported, as in torch's
    class: so they can be passed to the user's own scripted functions, and to workers that know the interface and not remotemod.

    Args:
        stub: the stub.
        main: whether ``__main__`` is the same on all workers.
    """
    native = declared(stub.digest)
    if native is not None:  # it came with a handle, or was written before
        return native.path
    text = _text(stub)
    return None if text is None else NativePath(text, _importable_interface(stub, main=main))


def _importable_interface(stub: LoadedStub, *, main: bool) -> str | None:
    source = stub.declaration.interface
    if source.startswith("__main__:") and not main:
        return None
    interface = _find_interface(source)
    if interface is None:
        return None
    # An interface with the handle's own methods (forward_async) has more methods than the module.
    names = interface_methods(interface)
    return source if names is not None and names <= set(stub.declaration.methods) else None


def _find_interface(source: str) -> Any:
    try:
        interface = find(*split_name(source), load=True)
    except (ImportError, ObjectNotFound):
        return None
    name = getattr(interface, "__torch_script_interface__", None)
    # A mangled name was given to a second class of the same name; no other process has it.
    return interface if name and "___torch_mangle" not in str(name) else None


def declare(stub: str, path: NativePath | None) -> Native | None:
    """Declare a native path to TorchScript, once for each stub.

    Args:
        stub: the digest of the stub.
        path: the path; None where there is none.

    Returns:
        None where TorchScript refuses it, or this process knows the stub by another path: compiled functions have one
        name and one type.
    """
    if path is None:
        return None
    with _LOCK.value:
        if stub not in _DECLARED.value:
            native = None
            try:
                native = Native(path)
            except (ImportError, RuntimeError) as error:
                _log.debug("stub %s has no native path here: %s", stub, error)
            _DECLARED.value[stub] = native
        native = _DECLARED.value[stub]
        return native if native is not None and native.path == path else None


def declared(stub: str) -> Native | None:
    """The native path that is declared for a stub; None without one."""
    return _DECLARED.value.get(stub)


def compiled(native: Native | None) -> Mapping[str, Callable[..., Any]] | None:
    """The compiled functions; None where TorchScript refuses them."""
    if native is None:
        return None
    with _LOCK.value:
        return native.functions
