"""Lists, tuples, dicts and sets; each adds its step to the path of an item that is refused."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from itertools import chain
from typing import Any

from remotemod.errors import ProtocolError
from remotemod.wire.tags import (
    DEFAULT_DICT,
    FROZENSET,
    LIST,
    MAPPING,
    ORDERED_DICT,
    SET,
    TUPLE,
)
from remotemod.wire.walk import Node, Packer, Reader, Refused, Repeated, Unpacker, Writer, step_to

__all__ = ["PACKERS", "UNPACKERS", "pack_items", "pack_pairs", "pairs_of", "unpack_items"]


def pack_items(writer: Writer, node: list[Node], items: Iterable[Any]) -> list[Node]:
    """Append the items to a node; an item that is refused learns its place."""
    packers, start = writer.packers, len(node)
    try:
        for item in items:
            node.append(packers[type(item)](writer, item))
    except Refused as refused:
        refused.steps.append(f"[{len(node) - start}]")
        raise
    return node


def pack_pairs(writer: Writer, node: list[Node], pairs: Iterable[tuple[Any, Any]]) -> list[Node]:
    """Append keys and values in turn; what is refused learns its key."""
    packers, key = writer.packers, None
    try:
        for key, item in pairs:
            node.append(packers[type(key)](writer, key))
            node.append(packers[type(item)](writer, item))
    except Refused as refused:
        refused.steps.append(step_to(key))
        raise
    return node


def pairs_of(reader: Reader, nodes: list[Node]) -> Iterable[tuple[Any, Any]]:
    """Unpack what ``pack_pairs`` appended."""
    values = reader.unpack_all(nodes)
    if len(values) % 2:
        raise ProtocolError("a mapping in the header has a key without a value")
    return zip(values[::2], values[1::2], strict=True)


def unpack_items(reader: Reader, node: list[Node]) -> list[Any]:
    """Unpack everything behind the tag of a node."""
    return reader.unpack_all(node[1:])


def _pack_list(writer: Writer, value: list[Any]) -> Node:
    if (entered := writer.entered) is not None:  # Writer.enter, without a call
        if id(value) in entered:
            raise Repeated
        entered[id(value)] = value
    return pack_items(writer, [LIST], value)


def _pack_tuple(writer: Writer, value: tuple[Any, ...]) -> Node:
    return pack_items(writer, [TUPLE], value)


def _unpack_tuple(reader: Reader, node: list[Node]) -> tuple[Any, ...]:
    return tuple(unpack_items(reader, node))


def _pack_dict(writer: Writer, value: dict[Any, Any]) -> Node:
    if (entered := writer.entered) is not None:  # Writer.enter, without a call
        if id(value) in entered:
            raise Repeated
        entered[id(value)] = value
    packers, items = writer.packers, iter(value.items())
    node: dict[str, Node] = {}
    key = None
    try:
        for key, item in items:
            if type(key) is not str or not key.isascii():
                break
            node[key] = packers[type(item)](writer, item)
        else:
            return node
    except Refused as refused:
        refused.steps.append(step_to(key))
        raise
    packed = [MAPPING, *chain.from_iterable(node.items())]
    return pack_pairs(writer, packed, chain([(key, item)], items))


def _unpack_dict(reader: Reader, node: list[Node]) -> dict[Any, Any]:
    return dict(pairs_of(reader, node[1:]))


def _pack_ordered_dict(writer: Writer, value: OrderedDict[Any, Any]) -> Node:
    writer.enter(value)
    return pack_pairs(writer, [ORDERED_DICT], value.items())


def _unpack_ordered_dict(reader: Reader, node: list[Node]) -> OrderedDict[Any, Any]:
    return OrderedDict(pairs_of(reader, node[1:]))


def _pack_default_dict(writer: Writer, value: defaultdict[Any, Any]) -> Node:
    writer.enter(value)
    try:
        factory = writer.pack(value.default_factory)
    except Refused as refused:
        refused.steps.append(".default_factory")
        raise
    return pack_pairs(writer, [DEFAULT_DICT, factory], value.items())


def _unpack_default_dict(reader: Reader, node: list[Node]) -> defaultdict[Any, Any]:
    return defaultdict(reader.unpack(node[1]), pairs_of(reader, node[2:]))


def _pack_set(writer: Writer, value: set[Any]) -> Node:
    writer.enter(value)
    return pack_items(writer, [SET], value)


def _unpack_set(reader: Reader, node: list[Node]) -> set[Any]:
    return set(unpack_items(reader, node))


def _pack_frozenset(writer: Writer, value: frozenset[Any]) -> Node:
    return pack_items(writer, [FROZENSET], value)


def _unpack_frozenset(reader: Reader, node: list[Node]) -> frozenset[Any]:
    return frozenset(unpack_items(reader, node))


PACKERS: dict[type, Packer] = {
    list: _pack_list,
    tuple: _pack_tuple,
    dict: _pack_dict,
    OrderedDict: _pack_ordered_dict,
    defaultdict: _pack_default_dict,
    set: _pack_set,
    frozenset: _pack_frozenset,
}

UNPACKERS: dict[int, Unpacker] = {
    LIST: unpack_items,
    TUPLE: _unpack_tuple,
    MAPPING: _unpack_dict,
    ORDERED_DICT: _unpack_ordered_dict,
    DEFAULT_DICT: _unpack_default_dict,
    SET: _unpack_set,
    FROZENSET: _unpack_frozenset,
}
