"""Refuse, before anything is compiled, what TorchScript or its operators cannot express."""

from __future__ import annotations

from collections.abc import Iterable

from remotemod.codegen.annotations import is_nameless
from remotemod.codegen.expressions import holds_named_tuples
from remotemod.codegen.mypy_settings import default_fits
from remotemod.errors import InterfaceError
from remotemod.interface.model import Argument, Interface, Kind, Method
from remotemod.interface.types import (
    TENSOR,
    DictType,
    FutureType,
    OtherType,
    PlainType,
    TensorType,
    TupleType,
    Type,
    UnionType,
)

__all__ = ["CONSTRUCTORS", "refuse_unscriptable"]

CONSTRUCTORS = frozenset(
    {"Dict", "Future", "List", "Optional", "Tuple", "Union", "dict", "list", "tuple"}
)
"""Names of generic types, which TorchScript knows by their names alone."""

_KINDS = {
    Kind.POSITIONAL_ONLY: "positional-only",
    Kind.VAR_POSITIONAL: "variadic",
    Kind.VAR_KEYWORD: "variadic",
}
_ABSTRACT = ("", "builtins", "collections", "typing", "types", "numbers")
_NAME_THEM = "name every argument in the interface, or generate an eager stub (--eager)"
_SIMPLIFY = "write it as TorchScript takes it, or generate an eager stub (--eager)"


def refuse_unscriptable(interface: Interface, methods: Iterable[Method]) -> None:
    """Raise for the first part of the methods that no scripted stub can have.

    Raises:
        InterfaceError: it names the argument and the reason.
    """
    for method in methods:
        reason = _reason(method)
        if reason is not None:
            what, how = reason
            raise InterfaceError(
                f"{interface.name}.{method.name}: {what}",
                how=how,
                file=interface.file,
                line=interface.line,
            )


def _reason(method: Method) -> tuple[str, str] | None:
    if not method.name.isascii():
        return "the name is not ASCII, and operators have no other", "rename the method"
    if method.name in CONSTRUCTORS:
        return "TorchScript would take the name for a type", "rename the method"
    for argument in method.arguments:
        if argument.kind in _KINDS:
            kind = _KINDS[argument.kind]
            return (
                f"'{argument.name}' is {kind}, and TorchScript has no such parameters",
                _NAME_THEM,
            )
        if argument.default is not None and argument.default.form == "opaque":
            shown = argument.default.shown or "its default"
            return f"'{argument.name}' defaults to {shown}, which cannot be written", (
                "give it a literal default, or generate an eager stub (--eager)"
            )
        problem = _problem(argument.type) or _default_problem(argument)
        if problem:
            return f"'{argument.name}' is {problem}", _SIMPLIFY
    if not method.annotated:
        return "the result has no annotation, and TorchScript needs one", "annotate the result"
    problem = _problem(method.returns)
    return None if problem is None else (f"the result is {problem}", _SIMPLIFY)


def _problem(tree: Type) -> str | None:
    for node in tree.walk():
        if is_nameless(node):
            return f"'{node}', which TorchScript cannot resolve"
        if isinstance(node, OtherType) and node.symbol.module.partition(".")[0] in _ABSTRACT:
            return f"'{node}', which is no type in TorchScript"
        if isinstance(node, TupleType) and node.variadic:
            return f"'{node}', and TorchScript has no tuples of any length"
        if isinstance(node, DictType) and not _is_key(node.key):
            return f"'{node}', and TorchScript has no such keys"
        if isinstance(node, FutureType):
            return "a Future, which cannot travel"
        if isinstance(node, UnionType) and holds_named_tuples(node):
            return f"'{node}', and TorchScript cannot tell a named tuple in a Union"
    return None


def _default_problem(argument: Argument) -> str | None:
    if argument.default is None:
        return None
    if argument.kind is Kind.KEYWORD_ONLY:
        return "keyword-only with a default, which TorchScript does not take"
    if argument.default.text[:1] in ("[", "{"):
        return f"given the mutable default {argument.default.text}, which TorchScript does not take"
    if argument.default.form != "literal" or default_fits(argument):
        return None
    if argument.type == TENSOR and argument.default.text == "None":
        return None  # TorchScript's own exception
    return f"'{argument.type}', and its default {argument.default.text} is of another type"


def _is_key(tree: Type) -> bool:
    return isinstance(tree, TensorType) or (isinstance(tree, PlainType) and tree.is_key)
