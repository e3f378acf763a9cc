"""Write a method's types as the schemas that a scripted stub declares."""

from __future__ import annotations

from remotemod.codegen.imports import Imports
from remotemod.interface.model import Method
from remotemod.interface.naming import fresh
from remotemod.interface.types import (
    ANY,
    DictType,
    ListType,
    NamedTupleType,
    OptionalType,
    OtherType,
    Symbol,
    TupleType,
    Type,
    UnionType,
)
from remotemod.stub.declaration import REFERENCE
from remotemod.stub.schema import WORDS, dispatcher_type

__all__ = ["SchemaWriter"]


class SchemaWriter:
    """A writer of one stub's schemas, which collects the classes that they name.

    Args:
        imports: the stub's imports.

    Attributes:
        classes: the expression for each class that a schema names.
        fields: the fields of those that are named tuples, as the arguments of a schema.
    """

    def __init__(self, imports: Imports) -> None:
        self._imports = imports
        self._names: dict[Symbol, str] = {}
        self.classes: dict[str, str] = {}
        self.fields: dict[str, str] = {}

    def arguments(self, method: Method) -> str:
        """The method's arguments in order; operators take the reference to the remote module before them."""
        names = [a.name for a in method.arguments]
        parts = []
        for index, argument in enumerate(method.arguments):
            # The dispatcher knows ASCII identifiers alone, and takes some words for itself.
            usable = argument.name.isascii() and argument.name not in _TAKEN
            name = argument.name if usable else fresh(f"arg{index}", names)
            parts.append(f"{self.type(argument.type)} {name}")
        return ", ".join(parts)

    def type(self, tree: Type) -> str:
        """The schema of a type."""
        match tree:
            case OptionalType(item=item):
                return "Any" if item == ANY else f"{self.type(item)}?"
            case ListType(item=item):
                return f"{self.type(item)}[]"
            case DictType(key=key, value=value):
                return f"Dict({self.type(key)}, {self.type(value)})"
            case UnionType(items=items):
                return f"Union({', '.join(map(self.type, items))})"
            case TupleType(items=items, variadic=False) if items:
                return f"({', '.join(map(self.type, items))})"
            case NamedTupleType(symbol=symbol, fields=fields):
                name = self._class(symbol)
                self.fields[name] = ", ".join(f"{self.type(t)} {field}" for field, t in fields)
                return name
            case OtherType(symbol=symbol) if symbol.module.partition(".")[0] != "torch":
                return self._class(symbol)
        return dispatcher_type(tree)

    def _class(self, symbol: Symbol) -> str:
        if symbol not in self._names:
            name = fresh(
                symbol.qualname.rpartition(".")[2], {*WORDS, *self.classes, "Dict", "Union"}
            )
            self._names[symbol] = name
            self.classes[name] = self._imports.symbol(symbol)
        return self._names[symbol]


_TAKEN = frozenset({"None", "True", "False", "inf", "nan", REFERENCE})
