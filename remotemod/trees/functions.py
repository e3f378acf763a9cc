"""Functions, methods and partials as kinds: what a closure holds travels with it where the function does."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import BuiltinMethodType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from remotemod.trees.containers import OPAQUE, Kind
from remotemod.trees.importable import is_importable

__all__ = ["FUNCTION_KINDS"]


class _Partial(Kind):
    def parts(self, value: functools.partial[Any]) -> Sequence[Any]:
        return value.func, value.args, value.keywords, vars(value)

    def labels(self, value: functools.partial[Any]) -> Sequence[str]:
        return ".func", ".args", ".keywords", ".__dict__"

    def finish(self, value: functools.partial[Any], twin: Any, parts: Sequence[Any]) -> Any:
        function, args, keywords, attributes = parts
        made = functools.partial.__new__(type(value), function, *args, **keywords)
        vars(made).update(attributes)
        return made


class _Cell(Kind):
    """What functions share a variable by."""

    def parts(self, value: CellType) -> Sequence[Any]:
        try:
            return (value.cell_contents,)
        except ValueError:  # the variable has no value yet
            return ()

    def labels(self, value: CellType) -> Sequence[str]:
        return ("",) * len(self.parts(value))

    def begin(self, value: CellType) -> Any:
        return CellType()

    def finish(self, value: CellType, twin: Any, parts: Sequence[Any]) -> Any:
        for part in parts:
            twin.cell_contents = part
        return twin


class _Function(Kind):
    """A function that travels by value; what it takes from its module's globals is not entered."""

    is_regular = False

    def is_regular_value(self, value: FunctionType) -> bool:
        return is_importable(value)

    def parts(self, value: FunctionType) -> Sequence[Any]:
        if is_importable(value):
            return ()
        rest = value.__defaults__, value.__kwdefaults__, vars(value)
        return *(value.__closure__ or ()), *rest

    def labels(self, value: FunctionType) -> Sequence[str]:
        if is_importable(value):
            return ()
        cells = [f".<locals>.{name}" for name in value.__code__.co_freevars]
        return *cells, ".__defaults__", ".__kwdefaults__", ".__dict__"

    def finish(self, value: FunctionType, twin: Any, parts: Sequence[Any]) -> Any:
        *cells, defaults, keyword_defaults, attributes = parts
        made = FunctionType(
            value.__code__, value.__globals__, value.__name__, defaults, tuple(cells) or None
        )
        functools.update_wrapper(made, value, updated=())
        del made.__wrapped__  # type: ignore[attr-defined]
        made.__kwdefaults__ = keyword_defaults
        vars(made).update(attributes)
        return made


class _Method(Kind):
    is_regular = False  # its object's class may say how it is pickled

    def is_regular_value(self, value: Any) -> bool:
        return isinstance(value.__self__, (type, ModuleType, type(None)))

    def parts(self, value: Any) -> Sequence[Any]:
        return () if self.is_regular_value(value) else (value.__self__,)

    def labels(self, value: Any) -> Sequence[str]:
        return [".__self__" for _ in self.parts(value)]

    def finish(self, value: Any, twin: Any, parts: Sequence[Any]) -> Any:
        (owner,) = parts
        if isinstance(value, MethodType):
            return MethodType(value.__func__, owner)
        return getattr(owner, value.__name__)


class _Class(Kind):
    is_regular = OPAQUE.is_regular

    def is_regular_value(self, value: Any) -> bool:
        return is_importable(value)


FUNCTION_KINDS: dict[type, Kind] = {
    functools.partial: _Partial(),
    CellType: _Cell(),
    FunctionType: _Function(),
    MethodType: _Method(),
    BuiltinMethodType: _Method(),  # builtin functions too
    type: _Class(),
}
