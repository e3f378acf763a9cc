"""Classes, functions and modules: by reference where the peer can import them, else by value.

A reference is a module and a qualified name. It is used when importing it gives the very same object and the
module can be imported elsewhere too; ``__main__``, locals and modules without a spec travel by value.
A peer that is not trusted with code only ever gets a reference looked up among the modules already imported.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import io
from types import BuiltinFunctionType, ModuleType
from typing import Any

import torch

from remotemod.errors import ProtocolError
from remotemod.objects import ObjectNotFound, find, find_or_none
from remotemod.torch_compat.script import load_script, save_script
from remotemod.torch_compat.tensors import untyped
from remotemod.trees.importable import is_importable, is_importable_module
from remotemod.wire.pickling import NOT_TRUSTED, demand_trust, pickled, unpickled
from remotemod.wire.placeholders import find_placeholder, is_placeholder
from remotemod.wire.tags import CODE, MODULE, PARTIAL, SCRIPT, STORAGE
from remotemod.wire.walk import Node, Reader, Refused, Unpacker, Writer

__all__ = [
    "UNPACKERS",
    "class_index",
    "load_class",
    "pack_code",
    "pack_module",
    "pack_partial",
    "pack_script",
    "pack_storage",
    "reference_to",
]

_DATA_TYPES = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
"""The only classes that travel as values without trust: they are what a defaultdict is made with."""


def reference_to(value: Any) -> tuple[str, str] | None:
    """Return the module and qualified name that import this very object on any machine, if there are."""
    if is_placeholder(value):
        return value.__module__, value.__qualname__
    if isinstance(value, BuiltinFunctionType):
        return _builtin_reference(value, getattr(value, "__module__", None))
    return (value.__module__, value.__qualname__) if is_importable(value) else None


def _builtin_reference(value: Any, module: str | None) -> tuple[str, str] | None:
    """Find a builtin by its plain name: torch's claim owners that do not exist, or no module at all."""
    for place in ((module or "", value.__name__), ("torch", value.__name__)):
        if is_importable_module(place[0]) and find_or_none(*place) is value:
            return place
    return None


def _describe_code(writer: Writer, value: Any) -> Node:
    reference = reference_to(value)
    if reference is not None:
        return reference
    if not writer.allow_code:
        raise Refused(
            value, "its class is not importable elsewhere; move it to the top of a module"
        )
    return pickled(writer, value)


def _load_code(reader: Reader, entry: Node) -> Any:
    place, rest = entry
    if type(place) is not str:
        return unpickled(reader, place, rest)
    try:
        return find(place, rest, load=reader.allow_code)
    except (ImportError, ObjectNotFound) as error:
        placeholder = find_placeholder(place, rest)
        if placeholder is not None:
            return placeholder
        if isinstance(error, ImportError):
            raise
        raise ProtocolError(
            f"{place}.{rest} is not here: import its module first, or install the same version as the peer's"
        ) from None


def class_index(writer: Writer, cls: type) -> int:
    """Put the class of a value into the code table."""
    return writer.code(cls, _describe_code)


def load_class(reader: Reader, index: int) -> Any:
    """Get a class from the code table; the caller checks that it is of a kind it may build."""
    return reader.code(index, _load_code)


def pack_code(writer: Writer, value: Any) -> Node:
    """Pack a class or a function that is itself the value."""
    if not writer.allow_code and all(value is not known for known in _DATA_TYPES):
        raise Refused(value, NOT_TRUSTED)
    return [CODE, writer.code(value, _describe_code)]


def _unpack_code(reader: Reader, node: Node) -> Any:
    value = reader.code(node[1], _load_code)
    if not reader.allow_code and all(value is not known for known in _DATA_TYPES):
        raise ProtocolError("the peer sent a class or a function where only data is taken")
    return value


def pack_partial(writer: Writer, value: functools.partial[Any]) -> Node:
    """Pack a partial by its parts, so that its tensors become frames."""
    writer.enter(value)
    return [PARTIAL, *map(writer.pack, (value.func, value.args, value.keywords, vars(value)))]


def _unpack_partial(reader: Reader, node: Node) -> Any:
    function, args, keywords, attributes = reader.unpack_all(node[1:])
    value = functools.partial(function, *args, **keywords)
    vars(value).update(attributes)
    return value


def pack_module(writer: Writer, value: ModuleType) -> Node:
    """Pack a Python module by its name."""
    if not writer.allow_code:
        raise Refused(value, NOT_TRUSTED)
    if not is_importable_module(value.__name__):
        raise Refused(value, f"module {value.__name__} cannot be imported elsewhere")
    return [MODULE, value.__name__]


def _unpack_module(reader: Reader, node: Node) -> ModuleType:
    demand_trust(reader)
    return importlib.import_module(node[1])


def pack_script(writer: Writer, value: Any) -> Node:
    """Pack a ScriptModule or a ScriptFunction as its archive; a function arrives as a module that calls it."""
    if not writer.allow_code:
        raise Refused(value, NOT_TRUSTED)
    if writer.followed is not None:
        writer.followed.demand_all(value)
    archive = io.BytesIO()
    try:
        save_script(value, archive)
    except RuntimeError as error:
        raise Refused(value, f"it cannot be saved: {error}") from error
    return [SCRIPT, writer.tensor(torch.frombuffer(archive.getbuffer(), dtype=torch.uint8))]


def _unpack_script(reader: Reader, node: Node) -> Any:
    demand_trust(reader)
    frame = reader.tensors[node[1]]
    archive = ctypes.string_at(frame.data_ptr(), frame.numel())
    return load_script(io.BytesIO(archive), map_location="cpu")


def pack_storage(writer: Writer, value: Any) -> Node:
    """Pack the storage that a pickled tensor subclass consists of."""
    typed = isinstance(value, torch.TypedStorage)
    storage = untyped(value) if typed else value
    content = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    name = str(value.dtype).removeprefix("torch.") if typed else None
    return [STORAGE, writer.tensor(content), name]


def _unpack_storage(reader: Reader, node: Node) -> Any:
    # A frame may lie anywhere inside a larger storage; this one must hold nothing but its own bytes.
    storage = reader.tensors[node[1]].clone().untyped_storage()
    if node[2] is None:
        return storage
    dtype = getattr(torch, node[2])
    make: Any = torch.TypedStorage
    return make(wrap_storage=storage, dtype=dtype, _internal=True)


UNPACKERS: dict[int, Unpacker] = {
    CODE: _unpack_code,
    PARTIAL: _unpack_partial,
    MODULE: _unpack_module,
    SCRIPT: _unpack_script,
    STORAGE: _unpack_storage,
}
