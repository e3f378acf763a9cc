"""The two walks of the codec: a Writer takes one value apart, a Reader puts it together again."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from remotemod.errors import ProtocolError
from remotemod.trees import Followed
from remotemod.wire.tensors import describe, restore

__all__ = [
    "Node",
    "Packer",
    "Reader",
    "Refused",
    "Repeated",
    "Unpacker",
    "Writer",
    "name_of",
    "step_to",
]

Node = Any
"""What msgpack carries: a scalar, a mapping with text keys, or a list headed by a tag."""

Packer = Callable[["Writer", Any], Node]
Unpacker = Callable[["Reader", "list[Any]"], Any]

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


class Refused(Exception):
    """A value that cannot be sent; each container adds its step to the path on the way up."""

    def __init__(self, value: object, why: str) -> None:
        super().__init__(why)
        self.kind = name_of(value) if isinstance(value, type) else name_of(type(value))
        self.why = why
        self.steps: list[str] = []

    def message(self, root: str) -> str:
        """Say where in the value, what it is, and what to do."""
        return f"{root}{''.join(reversed(self.steps))} ({self.kind}) cannot be sent: {self.why}"


class Repeated(Exception):
    """A container occurs twice in a value, or holds itself."""


class Writer:
    """One value on its way out: its frames, and the tables its tree points into."""

    __slots__ = (
        "_extended_before",
        "_indexes",
        "_kept",
        "allow_code",
        "codes",
        "entered",
        "extended",
        "followed",
        "frames",
        "packers",
        "sets_aside",
        "tensors",
    )

    def __init__(
        self,
        packers: Mapping[type, Packer],
        sets_aside: Callable[[type], bool],
        allow_code: bool,
        extended: dict[int, list[Any]] | None = None,
    ) -> None:
        self.packers = packers
        self.sets_aside = sets_aside
        self.allow_code = allow_code
        self.extended: dict[int, list[Any]] = {}  # what extensions made of values, by id
        self._extended_before = extended or {}
        self.entered: dict[int, object] | None = {} if allow_code and extended is None else None
        self.followed: Followed | None = (
            None  # of the value that is being packed, if gradients are followed
        )
        self.frames: list[Tensor] = []
        self.tensors: list[Node] = []
        self.codes: list[Node] = []
        self._indexes: dict[int, int] = {}
        self._kept: list[object] = []

    def pack(self, value: object) -> Node:
        """Turn one value into a node."""
        return self.packers[type(value)](self, value)

    def enter(self, container: object) -> None:
        """Note a container or an object: a peer that is trusted is to get one where there was one.

        Raises:
            Repeated: it was met before.
        """
        entered = self.entered
        if entered is not None:
            if id(container) in entered:
                raise Repeated
            entered[id(container)] = container

    def extend(self, value: object, pack: Callable[[Any], Any]) -> Any:
        """Turn a value into one that the codec knows; what was packed in an attempt before counts."""
        before = self._extended_before.get(id(value))
        packed = before.pop() if before else pack(value)
        self.extended.setdefault(id(value), []).append(packed)
        return packed

    def tensor(self, value: Any, describer: Callable[[Any, list[Tensor]], Node] = describe) -> int:
        """Give a tensor or array its place in the table, the same one each time it is met."""
        index = self._indexes.get(id(value))
        if index is None:
            self.tensors.append(describer(value, self.frames))
            index = self._remember(value, self.tensors)
        return index

    def code(self, value: object, describer: Callable[[Writer, Any], Node]) -> int:
        """Give a class or function its place in the table, the same one each time it is met."""
        index = self._indexes.get(id(value))
        if index is None:
            self.codes.append(describer(self, value))
            index = self._remember(value, self.codes)
        return index

    def _remember(self, value: object, table: list[Node]) -> int:
        index = self._indexes[id(value)] = len(table) - 1
        self._kept.append(value)  # an id stays unique only while its object lives
        return index


class Reader:
    """One value on its way in."""

    __slots__ = ("_loaded", "allow_code", "codes", "extensions", "tensors", "unpackers")

    def __init__(
        self,
        unpackers: Mapping[int, Unpacker],
        extensions: Mapping[str, Callable[[Any], Any]],
        allow_code: bool,
    ) -> None:
        self.unpackers = unpackers
        self.extensions = extensions
        self.allow_code = allow_code
        self.tensors: list[Any] = []
        self.codes: list[Node] = []
        self._loaded: dict[int, Any] = {}

    def read(self, message: list[Any], frames: Sequence[Tensor]) -> Any:
        """Build the value of a whole message, using each frame once."""
        tree, tensors, self.codes = message
        left = iter(frames)
        self.tensors = [restore(descriptor, left) for descriptor in tensors]
        if next(left, None) is not None:
            raise ProtocolError("the message has more frames than its header describes")
        return self.unpack(tree)

    def unpack(self, node: Node) -> Any:
        """Turn one node into its value."""
        kind = type(node)
        if kind is list:
            return self.unpackers[node[0]](self, node)
        if kind in _SCALARS:
            return node
        if kind is dict:
            return {key: self.unpack(item) for key, item in node.items()}
        raise ProtocolError(f"the header holds a {name_of(kind)}, which no value packs to")

    def unpack_all(self, nodes: list[Node]) -> list[Any]:
        """Turn nodes into their values; what most containers hold is done without a call."""
        unpack = self.unpack
        return [node if type(node) in _SCALARS else unpack(node) for node in nodes]

    def code(self, index: int, loader: Callable[[Reader, Node], Any]) -> Any:
        """Look up a class or function of the table, loading it at its first use."""
        if index not in self._loaded:
            self._loaded[index] = loader(self, self.codes[index])
        return self._loaded[index]


def name_of(cls: type) -> str:
    """Name a class the way a reader would import it."""
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def step_to(key: object) -> str:
    """Write the step into a mapping for the path of an error."""
    return f"[{reprlib.repr(key)}]"
