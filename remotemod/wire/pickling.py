"""Objects of any class by cloudpickle, with what the codec packs better than pickle as nodes of its own."""

from __future__ import annotations

import io
import pickle
import sys
from types import BuiltinFunctionType, FunctionType
from typing import Any

import cloudpickle
from torch import Tensor
from torch.fx import Proxy
from torch.nn import Parameter

from remotemod.errors import GraphError, ProtocolError
from remotemod.trees import Enumerated, Followed
from remotemod.trees.importable import is_importable_module
from remotemod.trees.kinds import ATOMS
from remotemod.trees.objects import is_built_in
from remotemod.wire.placeholders import class_named, find_placeholder, is_placeholder
from remotemod.wire.tags import OBJECT
from remotemod.wire.walk import Node, Reader, Refused, Repeated, Unpacker, Writer

__all__ = [
    "NOT_TRUSTED",
    "NO_PROXY",
    "UNPACKERS",
    "ObjectPickler",
    "ObjectUnpickler",
    "demand_trust",
    "pack_object",
    "pickled",
    "unpickled",
]

NO_PROXY = (
    "it stands for a value in a graph of torch.fx, which ends here; make the remote module an attribute of the model "
    "that torch.fx.symbolic_trace is given"
)

NOT_TRUSTED = (
    "this peer takes data only (numbers, text, containers, tensors, arrays, dataclasses, named tuples, enums). "
    "Send plain data, or use a backend whose workers are processes of this user"
)


def pack_object(writer: Writer, value: Any) -> Node:
    """Pack any other object by cloudpickle, its tensors as frames."""
    if not writer.allow_code:
        raise Refused(value, NOT_TRUSTED)
    if isinstance(value, Proxy):  # a copy would record into a graph that nobody sees
        raise Refused(value, NO_PROXY)
    return [OBJECT, *pickled(writer, value)]


def _unpack_object(reader: Reader, node: Node) -> Any:
    return unpickled(reader, node[1], node[2])


def demand_trust(reader: Reader) -> None:
    """Refuse what may run code.

    Raises:
        ProtocolError: the peer is to send data only.
    """
    if not reader.allow_code:
        raise ProtocolError("the peer sent code or a pickled object where only data is taken")


def pickled(writer: Writer, value: Any) -> list[Node]:
    """Pickle an object; the second node holds what its pickle refers to."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, writer, value)
    try:
        pickler.dump(value)
    except (Refused, Repeated, GraphError):
        raise
    except Exception as error:
        why = f"it cannot be pickled ({error}); build it on the worker, or send what it is made of"
        raise Refused(value, why) from error
    return [buffer.getvalue(), pickler.aside]


def unpickled(reader: Reader, data: bytes, aside: list[Node]) -> Any:
    """Build the object that :func:`pickled` took apart."""
    demand_trust(reader)
    return _Unpickler(io.BytesIO(data), reader.unpack_all(aside)).load()


class ObjectPickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped in cloudpickle
    """Pickles what cannot be imported elsewhere by value, as it is.

    Attributes:
        followed: the tensors that gradients follow, once the pickled value has said which.
    """

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self.followed: Followed | None = None

    def demand(self, tensor: Tensor) -> None:
        """Refuse a tensor whose gradient would be lost.

        Raises:
            GraphError: it requires grad, and is not among those that are followed.
        """
        if self.followed is not None:
            self.followed.demand(tensor)

    def reducer_override(self, value: Any) -> Any:
        """Say how an object is pickled."""
        if is_placeholder(value):
            return class_named, (value.__module__, value.__qualname__)
        if type(value) is Enumerated:
            self.followed = Followed(value)
        reduced = super().reducer_override(value)
        if isinstance(value, type) and type(reduced) is tuple:
            return _with_slots(value, reduced)
        return reduced


def _with_slots(cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of a class that travels by value, with its slots, which it leaves out."""
    if "__slots__" not in vars(cls) or hasattr(cls, "_fields"):  # a named tuple makes its own
        return reduced
    if type(cls) is not type and is_built_in(type(cls)):  # so does what such a metaclass makes
        return reduced
    build, args, *rest = reduced
    names = [index for index, item in enumerate(args) if type(item) is dict]
    if len(names) != 1:
        return reduced
    namespace = {**args[names[0]], "__slots__": cls.__slots__}  # type: ignore[attr-defined]
    return build, (*args[: names[0]], namespace, *args[names[0] + 1 :]), *rest


_UNCHANGED = frozenset(
    {tuple, frozenset, type, FunctionType, BuiltinFunctionType, Tensor, Parameter}
)
"""Of these a copy is as good, or the codec keeps them one by itself."""


class _Pickler(ObjectPickler):
    """Sets aside what the codec packs better than pickle: tensors, arrays, scripts, extensions."""

    def __init__(self, buffer: io.BytesIO, writer: Writer, root: object) -> None:
        super().__init__(buffer)
        self._writer = writer
        self._root = root
        self._places: dict[int, tuple[int, object]] = {}
        self.followed = writer.followed
        self._entered: set[int] = set()
        self.aside: list[Node] = []

    def persistent_id(self, value: Any) -> int | None:
        if isinstance(value, Tensor):
            self.demand(value)
        cls = type(value)
        if cls not in ATOMS and cls not in _UNCHANGED:
            self._enter(value)
        if value is self._root or not self._writer.sets_aside(cls):
            return None
        if id(value) not in self._places:
            self.aside.append(self._writer.pack(value))
            self._places[id(value)] = len(self.aside) - 1, value
        return self._places[id(value)][0]

    def _enter(self, value: Any) -> None:
        if id(value) not in self._entered:  # what occurs twice in here, pickle keeps one
            self._writer.enter(value)
            self._entered.add(id(value))

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, FunctionType)):
            module = sys.modules.get(value.__module__)
            if module is not None and not is_importable_module(value.__module__):
                # cloudpickle would refer to any module it finds here; the peer has no way to import this one
                cloudpickle.register_pickle_by_value(module)
        return super().reducer_override(value)


class ObjectUnpickler(pickle.Unpickler):
    """Builds what an :class:`ObjectPickler` took apart."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up a class, or its placeholder."""
        if find_placeholder(module, name) is not None:
            return class_named(module, name)
        return super().find_class(module, name)


class _Unpickler(ObjectUnpickler):
    """Puts back what was set aside."""

    def __init__(self, buffer: io.BytesIO, aside: list[Any]) -> None:
        super().__init__(buffer)
        self._aside = aside

    def persistent_load(self, place: int) -> Any:
        return self._aside[place]


UNPACKERS: dict[int, Unpacker] = {OBJECT: _unpack_object}
