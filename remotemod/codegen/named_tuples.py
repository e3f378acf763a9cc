"""The functions that turn named tuples into plain ones, which operators require, and back."""

from __future__ import annotations

from typing import Literal

from remotemod.codegen.expressions import Names, holds_named_tuples, rewrite
from remotemod.codegen.layout import Group, Seq, statement
from remotemod.codegen.signatures import Locals, Signatures, TextFunction
from remotemod.interface.naming import snake
from remotemod.interface.types import (
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    TupleType,
    Type,
)

__all__ = ["Conversions", "plain_type"]

Direction = Literal["make", "plain"]


def plain_type(tree: Type) -> Type:
    """``tree`` with plain tuples in the place of named ones."""
    match tree:
        case NamedTupleType(fields=fields):
            return TupleType(tuple(plain_type(t) for _, t in fields), style="typing")
        case OptionalType(item=item, style=style):
            return OptionalType(plain_type(item), style)
        case ListType(item=item, style=style):
            return ListType(plain_type(item), style)
        case DictType(key=key, value=value, style=style):
            return DictType(key, plain_type(value), style)
        case TupleType(items=items, variadic=variadic, style=style):
            return TupleType(tuple(map(plain_type, items)), variadic, style)
    return tree


class Conversions:
    """The conversions that one stub needs, collected while its bodies are worked out.

    Each named tuple gets a function, and so does each optional that is no variable: TorchScript
    refines a type by ``is None`` for variables alone.
    """

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        self._names: dict[tuple[Direction, str], str] = {}
        self.functions: list[TextFunction] = []

    def make(self, tree: Type, value: str, names: Names) -> str:
        """The expression that makes named tuples again out of plain ones."""
        return self._convert("make", tree, value, names)

    def plain(self, tree: Type, value: str, names: Names) -> str:
        """The expression that makes plain tuples out of named ones."""
        return self._convert("plain", tree, value, names)

    def _convert(self, direction: Direction, tree: Type, value: str, names: Names) -> str:
        def leaf(node: Type, inner: str) -> str | None:
            separate = isinstance(node, OptionalType) and not inner.isidentifier()
            if isinstance(node, NamedTupleType) or separate:
                return f"{self._function(direction, node)}({inner})"
            return None

        return rewrite(tree, value, names, holds_named_tuples, leaf)

    def _function(self, direction: Direction, tree: Type) -> str:
        key = (direction, str(tree))
        if key in self._names:
            return self._names[key]
        name = self._signatures.imports.claim(f"_{direction}_{snake(_shown(tree))}")
        self._names[key] = name
        names = Locals(self._signatures.imports, ())
        value = names.local("value")
        if isinstance(tree, NamedTupleType):
            body = self._named_tuple(direction, tree, value, names)
        else:
            body = (statement(f"return {self._convert(direction, tree, value, names)}", 4),)
        source, target = tree, plain_type(tree)
        if direction == "make":
            source, target = target, source
        spelled = self._signatures.type
        parameter = Seq((f"{value}: ", self._signatures.node(source)))
        define = self._signatures.define(name, [parameter], (), spelled(target), 0)
        self.functions.append(TextFunction(define, body))
        return name

    def _named_tuple(
        self, direction: Direction, tree: NamedTupleType, value: str, names: Names
    ) -> tuple[str, ...]:
        parts: list[str] = []
        for index, (field, item) in enumerate(tree.fields):
            part = f"{value}[{index}]" if direction == "make" else f"{value}.{field}"
            parts.append(self._convert(direction, item, part, names))
        head = self._signatures.imports.symbol(tree.symbol) if direction == "make" else ""
        group = Group("(", tuple(parts), ")", lone_comma=direction == "plain")
        return (statement(Seq(("return ", head, group) if head else ("return ", group)), 4),)


def _shown(tree: Type) -> str:
    if isinstance(tree, NamedTupleType):
        return tree.symbol.qualname.rpartition(".")[2]
    if isinstance(tree, OptionalType):
        return f"Optional{_shown(tree.item)}"
    return str(tree).replace(" ", "").rpartition(".")[2].strip("[]")
