"""A value as a msgpack header and raw tensor frames, with no pickle for data.

What a peer may make this process do is decided by ``code``:

* ``code=False`` takes data only. Enum members, named tuples and dataclasses are built from a class that is already
  imported here and is of that kind, without calling its ``__init__`` or ``__new__``. Nothing is imported, nothing
  else is looked up, nothing is unpickled; other classes, functions, modules and scripts are refused at both ends.
* ``code=True`` is for peers that are processes of the same user: classes and functions travel by reference or by
  cloudpickle, and any other object by cloudpickle with its tensors as frames.

A tensor that occurs twice in a value arrives as one tensor twice, and two tensors that view one storage as equal copies.
With ``code=True`` a container that occurs twice, or holds itself, arrives as it was: such a value is pickled. Without, it
arrives as equal copies, and a value that contains itself is refused.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import torch
from torch import Tensor
from typing_extensions import Buffer

from remotemod.errors import ProtocolError
from remotemod.torch_compat.script import script_classes
from remotemod.trees import Enumerated
from remotemod.wire import code as code_parts
from remotemod.wire import containers, pickling, records, values
from remotemod.wire.code import (
    pack_code,
    pack_module,
    pack_partial,
    pack_script,
    pack_storage,
)
from remotemod.wire.pickling import pack_object
from remotemod.wire.tags import EXTENSION
from remotemod.wire.walk import Node, Packer, Reader, Refused, Repeated, Unpacker, Writer

__all__ = ["Codec", "Extension"]


@dataclass(frozen=True)
class Extension:
    """How values of one class travel, for classes that the codec does not know.

    Args:
        cls: the class; subclasses go the same way unless they have an extension of their own.
        tag: its name on the wire, the same at both ends.
        pack: turns an instance into a value that the codec knows.
        unpack: turns that value back into an instance.
    """

    cls: type
    tag: str
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


class Codec:
    """Turns values into headers and frames, and back.

    Args:
        code: whether the peer is a process of the same user, which classes, functions and pickled objects
            may come from and go to.
        extensions: how values of further classes travel.
    """

    def __init__(self, *, code: bool = False, extensions: Sequence[Extension] = ()) -> None:
        self.code = code
        self._packers = _Packers(extensions)
        self._unpack = {extension.tag: extension.unpack for extension in extensions}

    def encode(self, value: Any, *, name: str = "value") -> tuple[bytes, list[Tensor]]:
        """Turn a value into its header and frames; frames share memory with contiguous CPU tensors.

        Args:
            value: what to send.
            name: what to call the value in the path that an error names.

        Raises:
            ProtocolError: something in the value cannot be sent; the message says where, what, and what to do.
        """
        try:
            tree, writer = self._pack(value)
        except Refused as refused:
            raise ProtocolError(refused.message(name)) from refused.__cause__
        except RecursionError as error:
            raise ProtocolError(
                f"{name} contains itself, or nests too deeply to be sent"
            ) from error
        try:
            return _ENCODER.encode((tree, writer.tensors, writer.codes)), writer.frames
        except (ValueError, OverflowError, RecursionError) as error:
            raise ProtocolError(f"{name} does not fit a message header: {error}") from error

    def _pack(self, value: Any) -> tuple[Node, Writer]:
        writer = Writer(self._packers, self._packers.sets_aside, self.code)
        try:
            return writer.pack(value), writer
        except Repeated:  # pickle keeps what occurs twice
            writer = Writer(self._packers, self._packers.sets_aside, self.code, writer.extended)
            return pack_object(writer, value), writer

    def decode(self, header: Buffer, frames: Sequence[Tensor]) -> Any:
        """Build the value; its tensors share memory with the frames (misaligned ones are copied).

        Raises:
            ProtocolError: the bytes are damaged, or name something that is not to be had or not allowed here.
        """
        reader = Reader(_UNPACKERS, self._unpack, self.code)
        try:
            return reader.read(_DECODER.decode(header), frames)
        except ProtocolError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise ProtocolError(f"the message cannot be decoded ({what})") from error


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Any])

_PACKERS: dict[type, Packer] = {
    **containers.PACKERS,
    **values.PACKERS,
    Enumerated: records.pack_enumerated,
    type: pack_code,
    FunctionType: pack_code,
    BuiltinFunctionType: pack_code,
    ModuleType: pack_module,
    functools.partial: pack_partial,
    torch.UntypedStorage: pack_storage,
    torch.TypedStorage: pack_storage,
}

_SET_ASIDE = frozenset({values.pack_tensor, values.pack_array, pack_script, pack_storage})


class _Packers(dict[type, Packer]):
    """The packer of each class, chosen at its first use."""

    def __init__(self, extensions: Sequence[Extension]) -> None:
        super().__init__(_PACKERS)
        self._extensions = [
            (extension.cls, functools.partial(_pack_extension, extension))
            for extension in extensions
        ]
        self._extension_packers = {packer for _, packer in self._extensions}
        self.update(self._extensions)
        # Classes may be made at any time and by the thousand: what is chosen for one must not keep it alive.
        self._chosen: WeakKeyDictionary[type, Packer] = WeakKeyDictionary()

    def __missing__(self, cls: type) -> Packer:
        packer = self._chosen.get(cls)
        if packer is None:
            packer = self._chosen[cls] = self._choose(cls)
        return packer

    def sets_aside(self, cls: type) -> bool:
        """Tell whether instances inside a pickled object travel outside its pickle."""
        packer = self[cls]
        return packer in _SET_ASIDE or packer in self._extension_packers

    def _choose(self, cls: type) -> Packer:
        for known, packer in self._extensions:
            if issubclass(cls, known):
                return packer
        if issubclass(cls, Tensor):
            return _pack_tensor_subclass
        if issubclass(cls, script_classes()):
            return pack_script
        if issubclass(cls, type):
            return pack_code
        return _array_packer(cls) or records.record_packer(cls) or pack_object


def _pack_extension(extension: Extension, writer: Writer, value: Any) -> Node:
    if writer.followed is not None:
        writer.followed.demand_all(value)
    return [EXTENSION, extension.tag, writer.pack(writer.extend(value, extension.pack))]


def _unpack_extension(reader: Reader, node: list[Node]) -> Any:
    return reader.extensions[node[1]](reader.unpack(node[2]))


def _pack_tensor_subclass(writer: Writer, value: Tensor) -> Node:
    jagged = value.is_nested and value.layout is torch.jagged
    return values.pack_tensor(writer, value) if jagged else pack_object(writer, value)


def _array_packer(cls: type) -> Packer | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if cls is numpy.ndarray:
        return values.pack_array
    return values.pack_array_scalar if issubclass(cls, numpy.generic) else None


_UNPACKERS: dict[int, Unpacker] = {
    **containers.UNPACKERS,
    **values.UNPACKERS,
    **records.UNPACKERS,
    **code_parts.UNPACKERS,
    **pickling.UNPACKERS,
    EXTENSION: _unpack_extension,
}
