"""Write out, as plain functions, the methods that an assignment makes: lambdas and ``partialmethod``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from remotemod.interface.model import Kind
from remotemod.interface.source.bindings import Parameter
from remotemod.interface.source.outline import Text
from remotemod.interface.source.scopes import ClassDef, FunctionDef, Named, Scope
from remotemod.interface.source.syntax import Function, lambda_parameters, parse_names

__all__ = ["made_method"]

_Find = Callable[[Scope, str], object]


def made_method(scope: Scope, name: str, value: str, find: _Find) -> FunctionDef | None:
    """The function that ``name = value`` makes in a class body; None where it makes none.

    Args:
        scope: the class's body.
        name: the method's name.
        value: the expression assigned to it.
        find: finds the function that another expression of that body names.
    """
    text = value.strip()
    if text.startswith("lambda"):
        parameters = lambda_parameters(text)
        return None if parameters is None else _written(scope, name, parameters, None)
    if "partialmethod" not in text:
        return None
    node = ast.parse(text, mode="eval").body
    if not isinstance(node, ast.Call) or not node.args:
        return None
    maker = scope.resolve(ast.unparse(node.func))
    whole = find(scope, ast.unparse(node.args[0]))
    known = isinstance(maker, Named | ClassDef) and maker.symbol.qualname == "partialmethod"
    if not isinstance(whole, FunctionDef) or not known:
        return None
    fixed = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg is not None}
    rest = _partial(whole.node.parameters, len(node.args) - 1, fixed)
    return _written(whole.scope, name, rest, whole.node.returns)


def _partial(
    parameters: Sequence[Parameter], bound: int, fixed: dict[str, str]
) -> tuple[Parameter, ...]:
    """What ``functools.partialmethod`` leaves: as ``inspect.signature`` shows it."""
    rest = [*parameters[:1], *parameters[1 + bound :]]
    shown: list[Parameter] = []
    by_keyword = False
    for parameter in rest:
        default, kind = fixed.get(parameter.name, parameter.default), parameter.kind
        by_keyword = by_keyword or parameter.name in fixed
        if by_keyword and kind is Kind.VAR_POSITIONAL:
            continue
        if by_keyword and kind is Kind.POSITIONAL_OR_KEYWORD:
            kind = Kind.KEYWORD_ONLY
        shown.append(Parameter(parameter.name, kind, parameter.annotation, default))
    return tuple(shown)


def _written(
    scope: Scope, name: str, parameters: Sequence[Parameter], returns: str | None
) -> FunctionDef:
    """A function of these parameters, as though a ``def`` stood in ``scope``."""
    parts: list[str] = []
    before: Kind | None = None
    for parameter in parameters:
        kind = parameter.kind
        if before is Kind.POSITIONAL_ONLY and kind is not before:
            parts.append("/")
        if kind is Kind.KEYWORD_ONLY and before not in (Kind.VAR_POSITIONAL, kind):
            parts.append("*")
        stars = {Kind.VAR_POSITIONAL: "*", Kind.VAR_KEYWORD: "**"}.get(kind, "")
        hint = f": {parameter.annotation}" if parameter.annotation is not None else ""
        default = f" = {parameter.default}" if parameter.default is not None else ""
        parts.append(f"{stars}{parameter.name}{hint}{default}")
        before = kind
    if before is Kind.POSITIONAL_ONLY:
        parts.append("/")
    arrow = f" -> {returns}" if returns is not None else ""
    text = Text(f"def {name}({', '.join(parts)}){arrow}: ...\n", str(scope.source.file))
    (node,) = parse_names(text).table[name]
    assert isinstance(node, Function)
    return FunctionDef(scope, node)
