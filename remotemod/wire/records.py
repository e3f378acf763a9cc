"""Values whose class says how they are built: enum members, named tuples and dataclasses.

They are put together without running their ``__init__`` or ``__new__``, so a peer that is sent data only may
build them too; the class it names must be one of these kinds, and be imported there already.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict
from typing import Any

from remotemod.errors import ProtocolError
from remotemod.process import cached
from remotemod.trees import Enumerated, Followed
from remotemod.trees.containers import is_struct_sequence
from remotemod.trees.objects import is_built_in, slot_names
from remotemod.wire.code import class_index, load_class
from remotemod.wire.containers import pack_items, pack_pairs, pairs_of
from remotemod.wire.pickling import pack_object
from remotemod.wire.tags import DATACLASS, ENUM_MEMBER, FLAG, NAMED_TUPLE, STRUCT_SEQUENCE
from remotemod.wire.walk import Node, Packer, Reader, Refused, Unpacker, Writer, name_of

__all__ = ["UNPACKERS", "pack_enumerated", "record_packer"]

_MISSING = object()


def record_packer(cls: type) -> Packer | None:
    """Choose how to take instances of a class apart; None if it is no record."""
    if _is_enum(cls):
        return _pack_enum_member
    if _is_named_tuple(cls):
        return _pack_named_tuple
    if is_struct_sequence(cls):
        return _pack_struct_sequence
    return _pack_dataclass if _is_plain_dataclass(cls) else None


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, enum.EnumMeta)


def _is_flag(cls: Any) -> bool:
    return _is_enum(cls) and issubclass(cls, enum.Flag)


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


@cached(maxsize=1024)
def _is_plain_dataclass(cls: Any) -> bool:
    """Tell whether fields, slots, attributes and perhaps dict items are all there is to an instance."""
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return False
    base = _data_base(cls)
    return all(issubclass(base, part) for part in filter(is_built_in, cls.__mro__)) and all(
        _is_default(cls, hook) for hook in ("__getstate__", "__setstate__")
    )


def _is_default(cls: type, hook: str) -> bool:
    function = getattr(cls, hook, None)
    if function is getattr(object, hook, None):
        return True
    return getattr(function, "__module__", None) == "dataclasses"


def _data_base(cls: type) -> Any:
    for base in (OrderedDict, dict):
        if issubclass(cls, base):
            return base
    return object


def _pack_enum_member(writer: Writer, value: Any) -> Node:
    cls = type(value)
    if cls.__members__.get(value._name_) is value:
        return [ENUM_MEMBER, class_index(writer, cls), value._name_]
    if isinstance(value, enum.Flag) and isinstance(value._value_, int):
        return [FLAG, class_index(writer, cls), value._value_]
    return pack_object(writer, value)


def _unpack_enum_member(reader: Reader, node: list[Node]) -> Any:
    return _class_of_kind(reader, node, _is_enum).__members__[node[2]]


def _unpack_flag(reader: Reader, node: list[Node]) -> Any:
    return _class_of_kind(reader, node, _is_flag)(int(node[2]))


def _pack_named_tuple(writer: Writer, value: Any) -> Node:
    attributes = writer.pack(getattr(value, "__dict__", None))
    if attributes:
        writer.enter(value)
    node = [NAMED_TUPLE, class_index(writer, type(value)), attributes]
    try:
        return pack_items(writer, node, value)
    except Refused as refused:
        refused.steps[-1] = f".{value._fields[len(node) - 3]}"
        raise


def pack_enumerated(writer: Writer, value: Enumerated) -> Node:
    """Pack a value and its tensors; one that requires grad and is not among them is refused."""
    writer.followed = Followed(value)
    try:
        return _pack_named_tuple(writer, value)
    except Refused as refused:
        refused.steps.pop()  # nobody has written ".value"
        if not value.is_call:
            raise
        root = "args" if refused.steps.pop() == "[0]" else "kwargs"
        raise ProtocolError(refused.message(root)) from refused.__cause__
    finally:
        writer.followed = None


def _unpack_named_tuple(reader: Reader, node: list[Node]) -> Any:
    cls = _class_of_kind(reader, node, _is_named_tuple)
    if len(node) - 3 != len(cls._fields):
        raise ProtocolError(f"{name_of(cls)} has {len(cls._fields)} fields, not {len(node) - 3}")
    value = tuple.__new__(cls, reader.unpack_all(node[3:]))
    attributes = reader.unpack(node[2])
    if attributes:
        vars(value).update(attributes)
    return value


def _pack_struct_sequence(writer: Writer, value: Any) -> Node:
    _, (visible, hidden) = value.__reduce__()
    node = [STRUCT_SEQUENCE, class_index(writer, type(value)), writer.pack(hidden)]
    return pack_items(writer, node, visible)


def _unpack_struct_sequence(reader: Reader, node: list[Node]) -> Any:
    cls = _class_of_kind(reader, node, is_struct_sequence)
    return cls(reader.unpack_all(node[3:]), reader.unpack(node[2]))


def _pack_dataclass(writer: Writer, value: Any) -> Node:
    writer.enter(value)
    cls: Any = type(value)
    attributes = dict(getattr(value, "__dict__", ()))
    for name in slot_names(cls):
        item = getattr(value, name, _MISSING)
        if item is not _MISSING:
            attributes[name] = item
    packed = {}
    try:
        for name, item in attributes.items():
            packed[name] = writer.pack(item)
    except Refused as refused:
        refused.steps.append(f".{name}")
        raise
    node = [DATACLASS, class_index(writer, cls), packed]
    base = _data_base(cls)
    return node if base is object else pack_pairs(writer, node, base.items(value))


def _unpack_dataclass(reader: Reader, node: list[Node]) -> Any:
    cls = _class_of_kind(reader, node, _is_plain_dataclass)
    base = _data_base(cls)
    value = base.__new__(cls)
    attributes = {name: reader.unpack(item) for name, item in node[2].items()}
    for name in slot_names(cls):
        if name in attributes:
            object.__setattr__(value, name, attributes.pop(name))
    if attributes:
        vars(value).update(attributes)
    for key, item in pairs_of(reader, node[3:]):
        base.__setitem__(value, key, item)
    return value


def _class_of_kind(reader: Reader, node: list[Node], is_kind: Any) -> Any:
    cls = load_class(reader, node[1])
    if not is_kind(cls):
        raise ProtocolError(f"the peer names {cls!r} as the class of data, which it is not")
    return cls


UNPACKERS: dict[int, Unpacker] = {
    ENUM_MEMBER: _unpack_enum_member,
    FLAG: _unpack_flag,
    NAMED_TUPLE: _unpack_named_tuple,
    STRUCT_SEQUENCE: _unpack_struct_sequence,
    DATACLASS: _unpack_dataclass,
}
