"""Write a method's ``def`` lines and its arguments as they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from remotemod.codegen.annotations import annotation
from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import WIDTH, Group, Node, Seq, explode, flat, lay
from remotemod.codegen.literals import default
from remotemod.interface.model import Argument, Kind, Method
from remotemod.interface.types import Type

__all__ = [
    "Locals",
    "Signatures",
    "TextFunction",
    "Values",
    "by_name",
    "has_opaque_defaults",
    "passed",
]

_IGNORE = "  # type: ignore[no-untyped-def]"
_BREAK = 10_000  # columns "needed" behind a bracket that must break


@dataclass(frozen=True, slots=True)
class TextFunction:
    """The text of one function."""

    definition: str
    body: tuple[str, ...]


def has_opaque_defaults(method: Method) -> bool:
    """Whether a default of the method is known to the owner alone."""
    return any(a.default is not None and a.default.form == "opaque" for a in method.arguments)


class Locals:
    """The names of one function's variables.

    Args:
        imports: the stub's imports, none of which a variable may hide.
        parameters: the function's parameters.
    """

    def __init__(self, imports: Imports, parameters: Iterable[str]) -> None:
        self._imports = imports
        self._parameters = frozenset(parameters)

    def local(self, wanted: str) -> str:
        """A name like ``wanted`` for a new variable."""
        return self._imports.local(wanted, self._parameters)

    def hides(self, builtin: str) -> bool:
        """Whether a builtin's name means something else."""
        return self._imports.hides(builtin)


class Signatures:
    """The parameters and calls of one stub, as text.

    Args:
        imports: collects what annotations and defaults need.
        evaluated: whether annotations must hold real objects (TorchScript reads them).
    """

    def __init__(self, imports: Imports, *, evaluated: bool) -> None:
        self.imports = imports
        self.evaluated = evaluated

    def node(self, tree: Type) -> Node:
        """An annotation that can be broken into lines."""
        return annotation(tree, self.imports, evaluated=self.evaluated)

    def type(self, tree: Type) -> str:
        """An annotation on one line."""
        return flat(self.node(tree))

    def parameter(self, argument: Argument) -> Node:
        """``name: type = default`` as the interface has it."""
        star = {Kind.VAR_POSITIONAL: "*", Kind.VAR_KEYWORD: "**"}.get(argument.kind, "")
        parts: list[Node] = [star + argument.name]
        if argument.annotated:
            parts += [": ", self.node(argument.type)]
        if argument.default is not None:
            parts += [" = " if argument.annotated else "=", default(argument.default, self.imports)]
        return Seq(tuple(parts))

    def define(
        self,
        name: str,
        first: Sequence[Node],
        arguments: Sequence[Argument],
        returns: str | None,
        indent: int,
    ) -> str:
        """A whole ``def`` line.

        Args:
            name: the function's name.
            first: parameters in front of the method's own, as text.
            arguments: the method's parameters.
            returns: the result's annotation; None where the interface has none.
            indent: the columns in front of ``def``.
        """
        items: list[Node] = list(first)
        previous: Kind | None = None
        for argument in arguments:
            kind = argument.kind
            if previous is Kind.POSITIONAL_ONLY and kind is not previous:
                items.append("/")
            if kind is Kind.KEYWORD_ONLY and previous not in (kind, Kind.VAR_POSITIONAL):
                items.append("*")
            items.append(self.parameter(argument))
            previous = kind
        if previous is Kind.POSITIONAL_ONLY:
            items.append("/")
        tail = ":" if returns is None else f" -> {returns}:"
        group = Group(f"def {name}(", tuple(items), ")")
        line = flat(group) + tail
        untyped = returns is None or not all(a.annotated for a in arguments)
        if indent + len(line) > WIDTH:
            # Formatters put a lone parameter, and each behind a comment, on a line of its own with a comma.
            lone = len(items) == 1
            line = (
                explode(group, indent) if untyped or lone else lay(group, indent, _BREAK)
            ) + tail
            if any(len(part) > WIDTH for part in line.split("\n")):
                line += "  # fmt: skip"
        if untyped:
            # The interface has no more annotations; strict type checkers must accept that.
            head, newline, rest = line.partition("\n")
            line = head + _IGNORE + newline + rest
        return line

    def drop_omitted(self, method: Method, values: Values) -> Group:
        """The call that drops the arguments which the caller omitted.

        Args:
            method: the method.
            values: the expression for each parameter.
        """
        pairs: list[Node] = []
        rest: Node = "()"
        keywords: list[Node] = []
        for argument in method.arguments:
            value = values(argument)
            match argument.kind:
                case Kind.VAR_POSITIONAL:
                    rest = value
                case Kind.VAR_KEYWORD:
                    keywords.append(Seq(("**", value)))
                case Kind.KEYWORD_ONLY:
                    keywords.append(Seq((f'"{argument.name}": ', value)))
                case _:
                    pairs.append(Seq((f'"{argument.name}": ', value)))
        items = (Group("{", tuple(pairs), "}"), rest, Group("{", tuple(keywords), "}"))
        return Group(f"{self.imports.abi('drop_omitted')}(", items, ")")


Values = Callable[[Argument], Node]


def by_name(argument: Argument) -> Node:
    """A parameter's own value."""
    return argument.name


def passed(method: Method, values: Values = by_name) -> tuple[Node, ...]:
    """The arguments of a call, each passed as its parameter's kind requires.

    Args:
        method: the method that is called.
        values: the expression for each parameter.
    """
    items: list[Node] = []
    for argument in method.arguments:
        prefix = {
            Kind.VAR_POSITIONAL: "*",
            Kind.VAR_KEYWORD: "**",
            Kind.KEYWORD_ONLY: f"{argument.name}=",
        }.get(argument.kind, "")
        value = values(argument)
        items.append(Seq((prefix, value)) if prefix else value)
    return tuple(items)
