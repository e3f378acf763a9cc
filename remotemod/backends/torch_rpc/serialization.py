"""The serialization of values for torch's RPC: pickled by us, with tensors and references left to torch.

Torch's own pickler would do for what can be imported on both sides. This one also takes code by value (lambdas,
classes in functions), and lets an exception come back as a value, so that nothing of it is lost.
"""

from __future__ import annotations

import functools
import io
import pickle
import types
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.distributed.rpc import RRef
from torch.fx import Proxy

from remotemod.backends.torch_rpc.native import Native, NativePath, declare, declared
from remotemod.errors import ProtocolError
from remotemod.handles.members import client_of
from remotemod.handles.module import RemoteModule
from remotemod.handles.packing import PackedHandle, pack_handle, unpack_handle
from remotemod.objects import find_or_none
from remotemod.rpc.current import find_cluster
from remotemod.stub.loader import load_stub, text_digest
from remotemod.torch_compat.rpc import on_pickled_script, reduce_script, reference_class
from remotemod.torch_compat.script import compile_script, python_class_of, recursive_class
from remotemod.trees import to_caller
from remotemod.wire.pickling import NO_PROXY, ObjectPickler, ObjectUnpickler

__all__ = [
    "Parcel",
    "is_plain",
    "pack",
    "reduce_handle",
    "reduce_scripted",
    "unpack",
]


class Parcel(NamedTuple):
    """A value as torch's RPC takes it.

    Attributes:
        paths: the native paths of the handles in it; first, because they may define the types of the references.
        data: the pickle.
        tensors: the tensors in it; torch sends them beside the message and records them for autograd.
        refs: references, which torch counts.
    """

    paths: list[Any]
    data: bytes
    tensors: list[torch.Tensor]
    refs: list[Any]


def pack(
    value: object, *, main_by_value: bool, on_cpu: bool = False, records: bool = False
) -> Parcel:
    """Pack a value into a parcel.

    Args:
        value: a value that pickle or cloudpickle takes.
        main_by_value: whether classes and functions of ``__main__`` travel by value, because the
            receiver's is another.
        on_cpu: whether tensors of accelerators travel as ones on the CPU, because there is no device map.
        records: whether torch's distributed autograd is to see parameters too; they arrive as plain tensors.

    Raises:
        ProtocolError: something in it cannot be pickled.
    """
    data = io.BytesIO()
    pickler = _Pickler(data, main_by_value, on_cpu, records)
    try:
        pickler.dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"a value cannot be sent: {error}") from error
    return Parcel(pickler.paths, data.getvalue(), pickler.tensors, pickler.refs)


def unpack(parcel: Parcel | tuple[Any, ...]) -> Any:
    """The value in a parcel.

    Raises:
        ProtocolError: a class or function in it is not there in this process.
    """
    _, data, tensors, refs = parcel
    try:
        return _Unpickler(io.BytesIO(data), tensors, refs).load()
    except (AttributeError, ImportError) as error:
        raise ProtocolError(
            f"a value that was sent cannot be built here: {error}. What is sent by name must be importable "
            "on both sides; __main__ must be the same program where processes call init_rpc themselves"
        ) from error


_REFERENCES = (reference_class(), RRef)
_DEPTH = 16
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, torch.Tensor, *_REFERENCES})


def is_plain(value: Any) -> bool:
    """Whether torch's own pickler will do: nothing in it names code or a class."""
    return _is_plain(value, _DEPTH)


def _is_plain(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind in _ATOMS:
        return True
    if not depth:  # a value may hold itself
        return False
    if kind is tuple or kind is list:
        return all(_is_plain(item, depth - 1) for item in value)
    if kind is not dict:
        return False
    return all(_is_plain(part, depth - 1) for pair in value.items() for part in pair)


class _Pickler(ObjectPickler):
    def __init__(self, data: io.BytesIO, main_by_value: bool, on_cpu: bool, records: bool) -> None:
        super().__init__(data)
        self.tensors: list[torch.Tensor] = []
        self.refs: list[Any] = []
        self.paths: list[Any] = []
        self._numbers: dict[int, tuple[int, torch.Tensor]] = {}
        self._main_by_value = main_by_value
        self._on_cpu = on_cpu
        self._records = records

    def persistent_id(self, value: Any) -> Any:
        kind = type(value)
        if kind is torch.Tensor:
            return self._number_of(value)
        if kind in _REFERENCES:
            self.refs.append(value)
            return -len(self.refs)
        if isinstance(value, torch.Tensor):
            if self._records and isinstance(value, nn.Parameter) and value.requires_grad:
                return self._number_of(value)
            self.demand(value)
        return None

    def _number_of(self, tensor: torch.Tensor) -> int:
        if id(tensor) not in self._numbers:  # one that occurs twice arrives as one
            self.demand(tensor)
            # Torch records what it takes from the list; of a parameter it takes the data.
            sent = tensor if type(tensor) is torch.Tensor else tensor.view_as(tensor)
            self.tensors.append(to_caller(sent) if self._on_cpu else sent)
            self._numbers[id(tensor)] = len(self.tensors) - 1, tensor
        return self._numbers[id(tensor)][0]

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, RemoteModule):
            return reduce_handle(value)
        if type(value) is _Path:
            self.paths.append(value)
            return NotImplemented
        if isinstance(value, recursive_class()):
            if self.followed is not None:
                self.followed.demand_all(value)
            return reduce_scripted(value)
        if isinstance(value, Proxy):
            raise pickle.PicklingError(NO_PROXY)
        by_name = isinstance(value, (type, types.FunctionType)) and not self._main_by_value
        if (
            by_name
            and value.__module__ == "__main__"
            and find_or_none("__main__", value.__qualname__) is value
        ):
            return NotImplemented  # every process of the program runs the same one
        return super().reducer_override(value)


class _Unpickler(ObjectUnpickler):
    def __init__(self, data: io.BytesIO, tensors: list[Any], refs: list[Any]) -> None:
        super().__init__(data)
        self._tensors = tensors
        self._refs = refs

    def persistent_load(self, number: Any) -> Any:
        return self._tensors[number] if number >= 0 else self._refs[-number - 1]


# --- handles, in our pickles and in those of torch's own users --------------------------------


class _Path:
    """A native path in a pickle: known on arrival before the reference, whose type it may define."""

    def __init__(self, native: Native, stub: str) -> None:
        self._content = stub, *native.path

    def __reduce__(self) -> Any:
        return _declare, self._content


def _declare(stub: str, text: str, interface: str | None) -> None:
    declare(stub, NativePath(text, interface))


class _Stub:
    """A stub in a pickle, with its native path."""

    def __init__(self, text: str, injected: dict[str, object]) -> None:
        digest = text_digest(text)
        native = declared(digest)
        self.path = None if native is None else _Path(native, digest)
        self._content = self.path, text, injected

    def __reduce__(self) -> Any:
        return _load, self._content


def _load(path: None, text: str, injected: dict[str, object]) -> tuple[str, dict[str, object]]:
    load_stub(text, injected)
    return text, injected


def reduce_handle(module: Any) -> Any:
    """The reduction of a handle for pickle."""
    return _restore, _fields(pack_handle(module))


def _fields(packed: PackedHandle) -> tuple[Any, ...]:
    return _Stub(packed.text, packed.injected), tuple(packed[2:])


def _restore(stub: tuple[str, dict[str, object]], rest: tuple[Any, ...]) -> Any:
    return unpack_handle(PackedHandle(*stub, *rest), find_cluster())


def reduce_scripted(module: Any) -> Any:
    """The reduction of a scripted module for pickle: a scripted handle is scripted anew on arrival.

    Raises:
        RuntimeError: it is a scripted model with remote submodules that torch reaches by references of its own.
    """
    if client_of(module) is not None:
        return _restore_scripted, _fields(pack_handle(module, python_class_of(module)))
    clients = [client for client in map(client_of, module.modules()) if client is not None]
    if any(client.spec.extension for client in clients):
        raise RuntimeError(
            "Passing a scripted model with remote parts over RPC is not supported where the parts are scripted themselves "
            "and reached by torch's own references. Pass its remote modules, or their module_rref, and script the model "
            "where it runs."
        )
    if clients:
        from remotemod.archive.sending import from_bytes, to_bytes  # few models are ever sent

        return from_bytes, (to_bytes(module),)
    return reduce_script(module)


def _restore_scripted(stub: Any, rest: tuple[Any, ...]) -> Any:
    return compile_script(_restore(stub, rest))


@functools.cache
def register_scripted() -> None:
    """Register scripted handles with torch's RPC pickler, which refuses its own."""
    for cls in recursive_class():
        on_pickled_script(cls, reduce_scripted)
