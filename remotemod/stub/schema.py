"""Read the schemas that stubs and archives declare, and convert types to the dispatcher's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from remotemod.interface.types import (
    ANY,
    PLAIN_TYPES,
    TENSOR,
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    OtherType,
    PlainType,
    Symbol,
    TensorType,
    TupleType,
    Type,
    UnionType,
)

__all__ = ["WORDS", "MethodSchema", "Parameter", "SchemaReader", "dispatcher_type", "is_loose"]

WORDS: Mapping[str, Type] = {
    "Tensor": TENSOR,
    "Any": ANY,
    **{plain.schema: plain for plain in PLAIN_TYPES},
}
"""The names of the dispatcher's own types. Beside them a schema has ``T?``, ``T[]``, ``Dict(K, V)`` and ``(A, B)``;
ours also has ``Union(A, B)`` and the names of classes, which the dispatcher takes for tuples or for ``Any``."""

_TOKEN = re.compile(r"\s*(\w+|\[\]|[?(),])")


class Parameter(NamedTuple):
    """One argument of a schema."""

    name: str
    type: Type


class MethodSchema(NamedTuple):
    """The types of one method, its arguments by their names in the schema."""

    arguments: tuple[Parameter, ...]
    result: Type


class SchemaReader:
    """A reader of types in which classes go by names.

    Args:
        classes: the classes by their names in the schemas.
        fields: the fields of those that are named tuples, as the arguments of a schema.
    """

    def __init__(self, classes: Mapping[str, Symbol], fields: Mapping[str, str]) -> None:
        self._classes = classes
        self._fields = fields

    def arguments(self, text: str) -> tuple[Parameter, ...]:
        """The arguments of a schema: ``"Tensor x, int[] sizes"``.

        Raises:
            ValueError: that is no schema.
        """
        tokens = _Tokens(text)
        parameters = []
        while tokens.next:
            tree = self._type(tokens)
            parameters.append(Parameter(tokens.take(), tree))
            if tokens.next:
                tokens.take(",")
        return tuple(parameters)

    def type(self, text: str) -> Type:
        """A type: ``"Dict(str, Tensor[])"``.

        Raises:
            ValueError: that is no type.
        """
        tokens = _Tokens(text)
        tree = self._type(tokens)
        tokens.end()
        return tree

    def _type(self, tokens: _Tokens) -> Type:
        tree = self._plain(tokens)
        while tokens.next in ("?", "[]"):
            tree = OptionalType(tree) if tokens.take() == "?" else ListType(tree)
        return tree

    def _plain(self, tokens: _Tokens) -> Type:
        if tokens.next == "(":
            return TupleType(self._items(tokens))
        word = tokens.take()
        if tokens.next == "(" and word in ("Dict", "Union"):
            items = self._items(tokens)
            if word == "Union":
                return UnionType(items)
            key, value = items
            return DictType(key, value)
        if word in WORDS:
            return WORDS[word]
        if word not in self._classes:
            raise ValueError(f"'{word}' in the schema '{tokens.text}' is no type")
        if word not in self._fields:
            return OtherType(self._classes[word])
        fields = self.arguments(self._fields[word])
        return NamedTupleType(self._classes[word], tuple((f.name, f.type) for f in fields))

    def _items(self, tokens: _Tokens) -> tuple[Type, ...]:
        tokens.take("(")
        items = [self._type(tokens)]
        while tokens.next == ",":
            tokens.take(",")
            items.append(self._type(tokens))
        tokens.take(")")
        return tuple(items)


class _Tokens:
    """The tokens of a schema; ``next`` is the one to come, empty at the end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._rest: Iterator[str] = iter(_split(text))
        self.next = next(self._rest, "")

    def take(self, expected: str = "") -> str:
        """The next token, which must be ``expected`` unless that is empty."""
        token, self.next = self.next, next(self._rest, "")
        if not token or (expected and token != expected):
            raise ValueError(
                f"'{token}' in the schema '{self.text}' is not '{expected or 'a word'}'"
            )
        return token

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self.next:
            raise ValueError(f"'{self.next}' in the schema '{self.text}' is one too many")


def _split(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text.rstrip()):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"the schema '{text}' cannot be read from '{text[position:]}' on")
        tokens.append(token[1])
        position = token.end()
    return tokens


# --- the dispatcher's types -------------------------------------------------------------------


def is_loose(tree: Type) -> bool:
    """Whether a value travels as ``Any`` though its type says more, so that it must be refined again.

    ``Any`` does not go below a list or dict: to TorchScript a list of an enum is no list of Any.
    """
    if tree == ANY:
        return False
    return any(t != ANY and _schema_of(t) is None for t in tree.walk())


def dispatcher_type(tree: Type) -> str:
    """``tree`` in the dispatcher's own schema language."""
    return "Any" if is_loose(tree) else _schema_of(tree) or "Any"


def _schema_of(tree: Type) -> str | None:
    """``tree`` in the schema language; None where it has none for the node itself."""
    match tree:
        case TensorType():
            return "Tensor"
        case PlainType(schema=word):
            return word
        case OptionalType(item=item):
            return "Any" if item == ANY else f"{dispatcher_type(item)}?"
        case ListType(item=item):
            return f"{dispatcher_type(item)}[]"
        case DictType(key=key, value=value):
            return f"Dict({dispatcher_type(key)}, {dispatcher_type(value)})"
        case TupleType(items=items, variadic=False) if items:
            return f"({', '.join(map(dispatcher_type, items))})"
        case NamedTupleType(fields=fields) if fields:
            return f"({', '.join(dispatcher_type(t) for _, t in fields)})"
    return None
