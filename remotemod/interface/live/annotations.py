"""Turn live annotation objects into the same Types that the source reader finds in their text."""

from __future__ import annotations

import enum
import sys
import types
import typing
from collections.abc import Mapping

from remotemod.interface.annotations import (
    TypeVariable,
    apply,
    canonical,
    literal,
    opaque,
    parse,
    substitute,
    union,
)
from remotemod.interface.live.own_annotations import annotations_of
from remotemod.interface.types import (
    ANY,
    NONE,
    PARAMETER_LIST,
    NamedTupleType,
    OtherType,
    Symbol,
    Type,
)

__all__ = ["TypeReader"]

_MISSING = object()
_NAMED = (typing.NewType, typing.ParamSpec, types.FunctionType, types.BuiltinFunctionType)


class TypeReader:
    """Read annotations as one owner sees them.

    Args:
        namespaces: where names in text annotations are looked up, nearest first.
    """

    def __init__(self, *namespaces: Mapping[str, object]) -> None:
        self._namespaces = namespaces
        self._open: tuple[type, ...] = ()
        self._pending: tuple[str, ...] = ()

    def read(self, annotation: object) -> Type:
        """The Type of a live annotation; never raises."""
        if isinstance(annotation, str):
            return parse(annotation, self._resolve)
        if isinstance(annotation, typing.ForwardRef):
            return parse(annotation.__forward_arg__, self._resolve)
        found = self._describe(annotation)
        if found is None:
            return opaque(repr(annotation))
        return apply(found) if isinstance(found, Symbol) else found

    def _resolve(self, dotted: str) -> Symbol | Type | None:
        value = self._value(dotted)
        if value is _MISSING or dotted in self._pending:  # an alias that mentions itself ends here
            return None
        before, self._pending = self._pending, (*self._pending, dotted)
        try:
            if isinstance(value, str | typing.ForwardRef):
                return self.read(value)
            return self._describe(value)
        finally:
            self._pending = before

    def _value(self, dotted: str) -> object:
        head, *rest = dotted.split(".")
        for namespace in self._namespaces:
            value = namespace.get(head, _MISSING)
            if value is not _MISSING:
                break
        else:
            value = getattr(sys.modules["builtins"], head, _MISSING)
        for part in rest:
            value = getattr(value, part, _MISSING)
        return value

    def _describe(self, value: object) -> Symbol | Type | None:
        """What an object means in an annotation: a name that takes arguments, or a finished type."""
        if isinstance(value, Symbol):
            return canonical(value)
        if value is None or value is type(None):
            return NONE
        if value is typing.Any:
            return ANY
        if isinstance(value, types.UnionType):
            return union(tuple(map(self.read, value.__args__)), "builtin")
        origin = typing.get_origin(value)
        if origin is not None:
            return self._generic(value, origin)
        if isinstance(value, typing.TypeVar):
            return TypeVariable(Symbol(value.__module__, value.__name__))
        if isinstance(value, type):
            return self._class(value)
        alias = getattr(value, "__value__", None)
        if type(value).__name__ == "TypeAliasType" and alias is not None:
            return self.read(alias)
        name = getattr(value, "_name", None) or getattr(value, "__name__", None)
        if not isinstance(name, str) or not isinstance(getattr(value, "__module__", None), str):
            return None
        if isinstance(value, _NAMED) or value.__module__ in ("typing", "typing_extensions"):
            return canonical(Symbol(value.__module__, name))
        return None

    def _generic(self, value: object, origin: object) -> Symbol | Type | None:
        args = getattr(value, "__args__", ())
        if isinstance(value, typing._GenericAlias | types.GenericAlias) is False and not args:  # type: ignore[attr-defined]
            # a bare typing.List, typing.Iterable
            name = getattr(value, "_name", None)
            return canonical(Symbol("typing", name)) if name else self._describe(origin)
        if origin is typing.Literal:
            return literal(tuple(map(_literal_text, typing.get_args(value))))
        if origin is typing.Annotated:
            return self.read(getattr(value, "__origin__", None))
        if origin in (typing.Union, types.UnionType):
            return union(tuple(map(self.read, args)), "typing")
        return self._applied(value, origin)

    def _applied(self, value: object, origin: object) -> Type | None:
        given = typing.get_args(value)
        if given == ((),):  # how Python 3.10 says Tuple[()]
            given = ()
        args = tuple(map(self._argument, given))
        if type(origin).__name__ == "TypeAliasType":
            return substitute(self.read(origin), args)
        head = self._describe(origin)
        if isinstance(value, typing._GenericAlias) and origin in (list, dict, tuple):  # type: ignore[attr-defined]
            head = Symbol("typing", typing.cast(type, origin).__name__.title())
        if isinstance(head, Symbol):
            return apply(head, args)
        return head

    def _argument(self, value: object) -> Type:
        if value is Ellipsis:
            return opaque("...")
        if isinstance(value, list):
            return OtherType(PARAMETER_LIST, tuple(map(self.read, value)))
        return self.read(value)

    def _class(self, cls: type) -> Symbol | Type:
        symbol = canonical(Symbol(cls.__module__, cls.__qualname__))
        fields = getattr(cls, "_fields", None)
        if not (issubclass(cls, tuple) and isinstance(fields, tuple)) or cls in self._open:
            return symbol
        module = sys.modules.get(cls.__module__)
        inner = TypeReader(vars(cls), vars(module) if module else {}, *self._namespaces)
        inner._open = (*self._open, cls)
        hints: dict[str, object] = {}
        for base in reversed(cls.__mro__):
            hints.update(annotations_of(base))
        return NamedTupleType(
            symbol, tuple((f, inner.read(hints[f]) if f in hints else ANY) for f in fields)
        )


def _literal_text(value: object) -> str:
    if isinstance(value, enum.Enum):
        cls = type(value)
        return f"{canonical(Symbol(cls.__module__, cls.__qualname__))}.{value.name}"
    return repr(value)
