"""The small type tree that readers produce and that stubs, moves and schemas are computed from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "ANY",
    "NONE",
    "PARAMETER_LIST",
    "PLAIN_TYPES",
    "TENSOR",
    "AnyType",
    "DictType",
    "FutureType",
    "ListType",
    "NamedTupleType",
    "OptionalType",
    "OtherType",
    "PlainType",
    "Style",
    "Symbol",
    "TensorType",
    "TupleType",
    "Type",
    "UnionType",
]

Style = Literal["builtin", "typing"]
"""How the source spelled a container: ``list[int]`` / ``int | None``, or ``List[int]`` / ``Optional[int]``."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that can be imported: ``module`` holds ``qualname`` (``"pkg.mod"``, ``"Outer.Inner"``).

    An empty module means that the name could not be resolved (or is a builtin).
    """

    module: str
    qualname: str

    @property
    def importable(self) -> bool:
        """Whether ``from module import first part of qualname`` can work in another file."""
        local = "<locals>" in self.qualname or self.module in ("", "__main__")
        return not local and all(p.isidentifier() for p in self.qualname.split("."))

    def __str__(self) -> str:
        return f"{self.module}.{self.qualname}" if self.module else self.qualname


@dataclass(frozen=True, slots=True)
class Type:
    """Base of the tree's nodes. ``str(node)`` is a canonical spelling, equal for equal nodes."""

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return ()

    def walk(self) -> Iterator[Type]:
        """This node and everything below it, depth first."""
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class TensorType(Type):
    """``torch.Tensor``."""

    def __str__(self) -> str:
        return "Tensor"


@dataclass(frozen=True, slots=True)
class PlainType(Type):
    """A type with no types and no tensors inside; all that any stage knows of it is its row in ``PLAIN_TYPES``.

    Attributes:
        name: its canonical spelling.
        symbol: what a stub imports and spells.
        schema: the dispatcher's word for it.
        script: the kind of TorchScript's own type; empty where TorchScript has none for it.
        values: the classes of literals that may be its default; empty where there are none.
        is_key: whether TorchScript takes it for a dict's keys.
        is_exact: whether its values come out of TorchScript as Python knows them.
    """

    name: str
    symbol: Symbol = field(compare=False)
    schema: str = field(compare=False)
    script: str = field(default="", compare=False)
    values: tuple[type, ...] = field(default=(), compare=False)
    is_key: bool = field(default=False, compare=False)
    is_exact: bool = field(default=True, compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class AnyType(Type):
    """``typing.Any``; also the type of whatever carries no annotation."""

    def __str__(self) -> str:
        return "Any"


@dataclass(frozen=True, slots=True)
class OptionalType(Type):
    """``item`` or None."""

    item: Type
    style: Style = field(default="typing", compare=False)

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return (self.item,)

    def __str__(self) -> str:
        return f"Optional[{self.item}]"


@dataclass(frozen=True, slots=True, eq=False)
class UnionType(Type):
    """One of two or more ``items``; None never stands among them (that is an Optional of a Union).

    ``items`` keep the source's order, which means nothing: typing caches ``List[Union[a, b]]`` and
    ``List[Union[b, a]]`` as one object, so a live annotation may show either.
    """

    items: tuple[Type, ...]
    style: Style = field(default="typing", compare=False)

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return self.items

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnionType):
            return NotImplemented
        return set(self.items) == set(other.items)

    def __hash__(self) -> int:
        return hash(frozenset(self.items))

    def __str__(self) -> str:
        return f"Union[{', '.join(sorted(map(str, self.items)))}]"


@dataclass(frozen=True, slots=True)
class ListType(Type):
    """A list of ``item``."""

    item: Type
    style: Style = field(default="typing", compare=False)

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return (self.item,)

    def __str__(self) -> str:
        return f"List[{self.item}]"


@dataclass(frozen=True, slots=True)
class DictType(Type):
    """A dict from ``key`` to ``value``."""

    key: Type
    value: Type
    style: Style = field(default="typing", compare=False)

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return (self.key, self.value)

    def __str__(self) -> str:
        return f"Dict[{self.key}, {self.value}]"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    """A tuple of exactly ``items``; with ``variadic``, any number of the single item (``Tuple[T, ...]``)."""

    items: tuple[Type, ...]
    variadic: bool = False
    style: Style = field(default="typing", compare=False)

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return self.items

    def __str__(self) -> str:
        if self.variadic:
            return f"Tuple[{self.items[0]}, ...]"
        return f"Tuple[{', '.join(map(str, self.items)) or '()'}]"


@dataclass(frozen=True, slots=True)
class NamedTupleType(Type):
    """A class derived from a named tuple, with its fields in order."""

    symbol: Symbol
    fields: tuple[tuple[str, Type], ...]

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return tuple(t for _, t in self.fields)

    def __str__(self) -> str:
        return str(self.symbol)


@dataclass(frozen=True, slots=True)
class FutureType(Type):
    """A future of ``item`` (``torch.futures.Future``)."""

    item: Type

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return (self.item,)

    def __str__(self) -> str:
        return f"Future[{self.item}]"


_WORD = re.compile(r"\A[\w.]+\Z")


@dataclass(frozen=True, slots=True)
class OtherType(Type):
    """Any other class, with its type arguments; moved and carried by value, never by annotation.

    ``symbol.module`` is empty where nothing could be resolved; ``symbol.qualname`` then is the
    annotation's own text.
    """

    symbol: Symbol
    args: tuple[Type, ...] = ()

    def children(self) -> tuple[Type, ...]:
        """The types inside this one, in order."""
        return self.args

    @property
    def opaque(self) -> bool:
        """Whether this is only text, with no class behind it that could be named in an import."""
        return not self.symbol.module and not _WORD.match(self.symbol.qualname)

    def __str__(self) -> str:
        inner = ", ".join(map(str, self.args))
        if self.symbol == PARAMETER_LIST:
            return f"[{inner}]"
        return f"{self.symbol}[{inner}]" if self.args else str(self.symbol)


PARAMETER_LIST = Symbol("", "[]")
"""The symbol of the OtherType that holds the parameters in ``Callable[[int, str], T]``."""


def _builtin(name: str, script: str, *values: type) -> PlainType:
    return PlainType(name, Symbol("", name), name, script, values, is_key=True)


TENSOR = TensorType()
ANY = AnyType()
NONE = PlainType("None", Symbol("", "None"), "NoneType", "NoneType", (type(None),))
PLAIN_TYPES = (
    _builtin("int", "IntType", int, bool),
    _builtin("float", "FloatType", float, int, bool),
    _builtin("bool", "BoolType", bool),
    _builtin("complex", "ComplexType", complex, float, int, bool),
    _builtin("str", "StringType", str),
    NONE,
    PlainType(
        "Number",
        Symbol("torch.types", "Number"),
        "Scalar",
        "NumberType",
        (int, float, complex, bool),
        is_key=True,
        is_exact=False,  # it comes back as one of its kinds
    ),
    PlainType("torch.device", Symbol("torch", "device"), "Device", "DeviceObjType"),
    PlainType("torch.dtype", Symbol("torch", "dtype"), "ScalarType", is_exact=False),
)
"""To teach the compiler another one, add its row here: nothing else names these types."""
