"""Tell from a decorator's own source which signature a decorated function shows: its own or a wrapper's."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from typing import Literal

from remotemod.interface.source.classes import find_method, linearize
from remotemod.interface.source.scopes import (
    ClassDef,
    FunctionDef,
    Named,
    Scope,
    VariableDef,
    dereference,
)

__all__ = ["Unclear", "shown_function"]

_Effect = FunctionDef | Literal["same", "unclear"]
_DEEPEST = 6


class Unclear(Exception):
    """A decorator of which source cannot tell the result; carries its text."""


def shown_function(function: FunctionDef, depth: int = 0) -> FunctionDef:
    """The function whose parameters ``inspect.signature`` shows; raises Unclear."""
    shown = function
    for text in reversed(function.node.decorators):
        effect = _expression(text, function.scope, depth)
        if effect == "unclear":
            raise Unclear(text)
        if isinstance(effect, FunctionDef):
            shown = shown_function(effect, depth + 1) if depth < _DEEPEST else effect
    return shown


def _expression(text: str, scope: Scope, depth: int) -> _Effect:
    """What an expression that stands for a decorator does to a function."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return "same"
    called = isinstance(node, ast.Call)
    head = ast.unparse(node.func if isinstance(node, ast.Call) else node)
    if not head.replace(".", "").isidentifier() or depth > _DEEPEST:
        return "same"
    found = dereference(scope.resolve(head))
    if isinstance(node, ast.Call) and isinstance(found, Named) and _is(found, "functools.partial"):
        return _expression(ast.unparse(node.args[0]), scope, depth + 1) if node.args else "same"
    if isinstance(found, VariableDef) and found.node.value is not None and not called:
        return _expression(found.node.value, found.scope, depth + 1)
    if not isinstance(found, FunctionDef | ClassDef) or _trusted(found):
        return "same"
    if isinstance(found, FunctionDef):
        return _made_by(found, depth + 1) if called else _decorated_by(found, depth + 1)
    call = _method(found, "__call__") if called else None
    return _decorated_by(call, depth + 1, skip=1) if call is not None else "same"


def _is(found: Named | FunctionDef, *names: str) -> bool:
    return str(found.symbol) in names


def _trusted(found: FunctionDef | ClassDef) -> bool:
    """The standard library's and torch's own decorators keep the signatures they are given."""
    root = found.scope.module.split(".")[0]
    return root == "torch" or root in sys.stdlib_module_names


def _method(cls: ClassDef, name: str) -> FunctionDef | None:
    for base in linearize(cls):
        found = find_method(base, name) if isinstance(base, ClassDef) else None
        if found is not None:
            return found
    return None


def _keeps(function: FunctionDef) -> bool:
    """Whether a wrapper says that it stands for what it wraps."""
    return any(
        text.split("(")[0].rpartition(".")[2] == "wraps" for text in function.node.decorators
    )


def _decorated_by(decorator: FunctionDef, depth: int, skip: int = 0) -> _Effect:
    """What ``@decorator`` does: it returns the function it got, or a wrapper."""
    if depth > _DEEPEST:
        return "same"
    source = decorator.node.source
    if "__signature__" in source:
        return "unclear"
    if "update_wrapper" in source or "contextmanager" in " ".join(decorator.node.decorators):
        return "same"
    parameters = decorator.node.parameters[skip:]
    own = parameters[0].name if parameters else ""
    # ``def deco(fn=None, **options)`` returns ``inner(fn)``, or ``inner`` where it got options alone
    results = _results(decorator)
    inner = {text.partition("(")[0] for text in results if _takes(text, own)}
    return _agreed(
        _result(text, decorator.body, own, depth) for text in results if text not in inner
    )


def _made_by(factory: FunctionDef, depth: int) -> _Effect:
    """What ``@factory(...)`` does: it returns a decorator."""
    if depth > _DEEPEST:
        return "same"
    if any("contextmanager" in text for text in factory.node.decorators):
        return "same"
    effects: list[_Effect] = []
    first = next(iter(factory.node.parameters), None)
    own = first.name if first is not None and first.default is not None else ""
    for text in _results(factory):
        if own and (text == own or _takes(text, own)):
            continue  # what it does without brackets
        found = factory.body.resolve(text) if text.isidentifier() else None
        if isinstance(found, FunctionDef):
            effects.append(_decorated_by(found, depth + 1))
        elif "(" in text and not text.lstrip().startswith("lambda"):
            effects.append(_expression(text, factory.body, depth + 1))
    return _agreed(effects) if effects else "same"


def _results(function: FunctionDef) -> list[str]:
    return [text for text in function.node.names.results if text != "None"]


def _takes(text: str, own: str) -> bool:
    """Whether an expression is a call that is given ``own``."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return False
    return isinstance(node, ast.Call) and any(ast.unparse(a) == own for a in node.args)


def _result(text: str, body: Scope, own: str, depth: int) -> _Effect | None:
    if text == own:
        return "same"
    if text.isidentifier():
        found = body.own(text)
        if isinstance(found, FunctionDef):
            return "same" if _keeps(found) else found
        if isinstance(found, VariableDef) and found.node.value not in (None, text):
            return (
                _result(str(found.node.value), body, own, depth + 1) if depth < _DEEPEST else None
            )
        return None
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None
    if isinstance(node, ast.Call) and _takes(text, own):
        return _expression(ast.unparse(node.func), body, depth + 1)
    return "same" if "wraps(" in text else None


def _agreed(effects: Iterable[_Effect | None]) -> _Effect:
    known = list(dict.fromkeys(effect for effect in effects if effect is not None))
    wrappers = {e.node.name: e for e in known if isinstance(e, FunctionDef)}
    if len(wrappers) == 1 and "same" not in known and "unclear" not in known:
        return next(iter(wrappers.values()))
    if wrappers or "unclear" in known:
        return "unclear"
    return "same"
