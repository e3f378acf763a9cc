"""Turn default values, live or as text, into the one Default that a stub can write down."""

from __future__ import annotations

import ast
import enum
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from remotemod.interface.absent_torch import NeedsTorch
from remotemod.interface.annotations import canonical
from remotemod.interface.model import Default
from remotemod.interface.types import Symbol
from remotemod.objects import find_or_none
from remotemod.torch_compat.paths import COMPILED_MODULES

__all__ = ["Lookup", "Reference", "Unwritable", "evaluate", "from_text", "from_value", "well_known"]


class Unwritable(Exception):
    """A value that no expression of ours can stand for."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that is written as a name: ``text``, below the module ``module`` (empty: a builtin)."""

    text: str
    module: str

    @staticmethod
    def to(symbol: Symbol) -> Reference:
        """The reference that names ``symbol``."""
        symbol = canonical(symbol)
        return Reference(str(symbol), symbol.module)


Lookup = Callable[[str], object]
"""What a dotted name in an expression is: a literal value or a Reference; raises Unwritable."""

_TORCH_CONSTANTS = {"dtype", "memory_format", "layout"}
_TORCH_ALIASES = {
    "bool": "bool",
    "cdouble": "complex128",
    "cfloat": "complex64",
    "chalf": "complex32",
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "int": "int32",
    "long": "int64",
    "short": "int16",
}
_TORCH_NAMES = set(_TORCH_ALIASES.values()) | {
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "uint16", "uint32", "uint64"),
    *("channels_last", "channels_last_3d", "contiguous_format", "preserve_format"),
    *("strided", "sparse_coo", "sparse_csr", "qint8", "quint8", "qint32"),
}
_MATH = {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e, "tau": math.tau}

_OPERATORS: dict[type[ast.operator], Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_LARGEST_OPERAND = 1 << 16


def from_value(value: object) -> Default:
    """The default for a live ``value``."""
    try:
        return _default(value)
    except Unwritable:
        return Default.opaque(_shown(value))


def from_text(text: str, lookup: Lookup) -> Default:
    """The default for the expression ``text``, whose names ``lookup`` explains."""
    try:
        return _default(evaluate(text, lookup))
    except Unwritable:
        return Default.opaque(text)


def evaluate(text: str, lookup: Lookup) -> object:
    """The value of an expression of literals, simple arithmetic and names; raises Unwritable."""
    try:
        return _evaluate(ast.parse(text.strip(), mode="eval").body, lookup)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Unwritable(text) from error


def _default(value: object) -> Default:
    imports: set[str] = set()
    text = _spell(value, imports)
    form: Literal["literal", "reference"] = "reference" if imports else "literal"
    return Default(text, form, tuple(sorted(imports)))


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # a broken __repr__ of somebody's default must not stop the reading
        return f"<{type(value).__qualname__}>"


def _spell(value: object, imports: set[str]) -> str:
    kind = type(value)
    if isinstance(value, Reference):
        imports.update([value.module] if value.module else [])
        return value.text
    if value is None or kind in (bool, int, str, bytes):
        return repr(value)
    if value is Ellipsis:
        return "Ellipsis"
    if isinstance(value, float) and kind is float:
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, complex) and kind is complex:
        if math.isfinite(value.real) and math.isfinite(value.imag):
            return repr(value)
    elif isinstance(value, tuple) and kind is tuple:
        return f"({', '.join(_spell_all(value, imports))}{',' if len(value) == 1 else ''})"
    elif isinstance(value, list) and kind is list:
        return f"[{', '.join(_spell_all(value, imports))}]"
    elif isinstance(value, dict) and kind is dict:
        keys, values = _spell_all(value.keys(), imports), _spell_all(value.values(), imports)
        return "{" + ", ".join(f"{k}: {v}" for k, v in zip(keys, values, strict=True)) + "}"
    else:
        return _spell_reference(value, imports)
    raise Unwritable


def _spell_all(values: Iterable[object], imports: set[str]) -> list[str]:
    return [_spell(value, imports) for value in values]


def _spell_reference(value: object, imports: set[str]) -> str:
    kind = type(value)
    if kind.__module__ == "torch":
        if kind.__name__ in _TORCH_CONSTANTS:
            return _spell(Reference(str(value), "torch"), imports)
        if kind.__name__ == "device":
            return _spell(Reference(f"torch.device({str(value)!r})", "torch"), imports)
    if isinstance(value, enum.Enum):
        symbol = _importable(kind)
        if value.name in type(value).__members__:  # not so for a combination of flags
            return _spell(
                Reference.to(Symbol(symbol.module, f"{symbol.qualname}.{value.name}")), imports
            )
    elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return _spell(Reference.to(_importable(value)), imports)
    raise Unwritable


def _importable(value: type | types.FunctionType | types.BuiltinFunctionType) -> Symbol:
    """Where ``value`` can be had from, if the path really leads back to it."""
    symbol = canonical(Symbol(value.__module__ or "", value.__qualname__))
    found = find_or_none(symbol.module or "builtins", symbol.qualname)
    if found is not value or symbol.module == "__main__":
        raise Unwritable
    return symbol


def _evaluate(node: ast.expr, lookup: Lookup) -> object:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items):
            return tuple(_evaluate(item, lookup) for item in items)
        case ast.List(elts=items):
            return [_evaluate(item, lookup) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {
                _evaluate(k, lookup): _evaluate(v, lookup)
                for k, v in zip(keys, values, strict=True)
                if k is not None
            }
        case ast.Name() | ast.Attribute():
            return _name(node, lookup)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() | ast.Invert()):
            return _unary(node.op, _number(_evaluate(node.operand, lookup)))
        case ast.BinOp():
            return _binary(node, lookup)
        case ast.Call(keywords=[]):
            return _call(node, lookup)
        case _:
            raise Unwritable


def _number(value: object) -> int | float | complex:
    if type(value) in (bool, int, float, complex):
        return value  # type: ignore[return-value]
    raise Unwritable


def _unary(op: ast.unaryop, value: int | float | complex) -> object:
    match op:
        case ast.USub():
            return -value
        case ast.UAdd():
            return +value
        case ast.Not():
            return not value
        case _:
            return operator.invert(typing.cast(int, value))


def _binary(node: ast.BinOp, lookup: Lookup) -> object:
    compute = _OPERATORS.get(type(node.op))
    left = _evaluate(node.left, lookup)
    right = _evaluate(node.right, lookup)
    if isinstance(left, str | tuple | list) and isinstance(node.op, ast.Add):
        return operator.add(left, right)
    a, b = _number(left), _number(right)
    small = all(abs(n) <= _LARGEST_OPERAND for n in (a, b))
    if compute is None or (
        isinstance(node.op, ast.Pow | ast.LShift) and not (small and abs(b) < 128)
    ):
        raise Unwritable
    return compute(a, b)


def _name(node: ast.expr, lookup: Lookup) -> object:
    return lookup(_path(node))


def _path(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_path(node.value)}.{node.attr}"
    raise Unwritable


def _call(node: ast.Call, lookup: Lookup) -> object:
    """``float("inf")``, ``torch.device("cpu")``, ``dict()`` and the like."""
    try:
        function = lookup(_path(node.func))
    except NeedsTorch:
        raise Unwritable from None  # of torch's functions only torch.device is ever called
    args = [_evaluate(argument, lookup) for argument in node.args]
    match function, args:
        case Reference(text="float"), [str() | int() | float() as value]:
            return float(value)
        case Reference(text="tuple"), []:
            return ()
        case Reference(text="list"), []:
            return []
        case Reference(text="dict"), []:
            return {}
        case Reference(text="torch.device"), [str(device)]:
            return Reference(f"torch.device({device!r})", "torch")
        case Reference(text="torch.device"), [str(device), int(index)]:
            return Reference(f"torch.device({f'{device}:{index}'!r})", "torch")
    raise Unwritable


def well_known(dotted: str) -> object:
    """The constants that live in compiled modules: dtypes, layouts, ``math.inf``; raises Unwritable."""
    module, _, name = dotted.rpartition(".")
    if module in ("math", "torch", "numpy", "cmath") and name in _MATH:
        return _MATH[name]
    if module in COMPILED_MODULES:
        name = _TORCH_ALIASES.get(name, name)
        if name in _TORCH_NAMES or name == "device":
            return Reference(f"torch.{name}", "torch")
    raise Unwritable
