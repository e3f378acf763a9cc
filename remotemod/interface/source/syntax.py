"""The one place that knows libcst: a file's bindings, classes and functions, each parsed when asked about."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeAlias

import libcst as cst

from remotemod.errors import InterfaceError
from remotemod.interface.model import Kind
from remotemod.interface.source.bindings import (
    Code,
    Names,
    Parameter,
    read_simple,
    type_parameters,
)
from remotemod.interface.source.outline import Block, Statement, Text

__all__ = [
    "BlockNames",
    "Class",
    "Function",
    "lambda_parameters",
    "parse_names",
]


class _Definition:
    """What classes and functions share; only the header is parsed, the body is cut up when asked for."""

    def __init__(self, text: Text, statement: Statement) -> None:
        self._text = text
        self._statement = statement
        self.name = statement.word

    @property
    def line(self) -> int:
        """The line of the first decorator or of the keyword."""
        return self._text.line(self._statement.start)

    @property
    def source(self) -> str:
        """The whole statement's text."""
        return self._text.text[self._statement.start : self._statement.end]

    @cached_property
    def _body(self) -> Block:
        return self._text.body(self._statement.heads[0], self._statement.end)

    @cached_property
    def header(self) -> str:
        """The text up to the body, comments included."""
        return self._text.text[self._statement.start : self._body.start]

    @cached_property
    def _header(self) -> tuple[cst.CSTNode, Code]:
        source = f"{self.header}{self._body.indent}pass\n"
        module = _parse(self._text, self._statement.start, source)
        node: cst.CSTNode = module.body[0]
        if isinstance(node, cst.If):
            node = node.body.body[0]
        return node, module.code_for_node

    @cached_property
    def decorators(self) -> tuple[str, ...]:
        """The decorators' expressions, outermost first."""
        if not self.header.lstrip().startswith("@"):
            return ()
        node, code = self._header
        assert isinstance(node, cst.ClassDef | cst.FunctionDef)
        return tuple(code(d.decorator) for d in node.decorators)

    @cached_property
    def type_parameters(self) -> tuple[str, ...]:
        """The names in brackets behind the definition's name."""
        after = self._text.code[self._statement.heads[0] :][:300].partition(self.name)[2]
        if not after.lstrip().startswith("["):
            return ()
        node, _ = self._header
        assert isinstance(node, cst.ClassDef | cst.FunctionDef)
        return type_parameters(node.type_parameters)

    @cached_property
    def doc(self) -> str | None:
        """The docstring, cleaned of indentation."""
        statements = self._body.statements()
        if not statements:
            return None
        first = self._text.text[statements[0].start : statements[0].end].strip()
        if first[:1] not in "\"'rRuU":
            return None
        try:
            value = ast.literal_eval(first)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        return inspect.cleandoc(value) if isinstance(value, str) else None

    @cached_property
    def names(self) -> BlockNames:
        """What the body binds."""
        return _read_block(self._body)


class Class(_Definition):
    """A class statement."""

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The base classes' expressions."""
        node, code = self._header
        assert isinstance(node, cst.ClassDef)
        return tuple(code(base.value) for base in node.bases if not base.star)


class Function(_Definition):
    """A ``def`` statement."""

    @cached_property
    def returns(self) -> str | None:
        """The result's annotation."""
        node, code = self._header
        assert isinstance(node, cst.FunctionDef)
        return code(node.returns.annotation) if node.returns is not None else None

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters in the order of ``inspect.signature``."""
        node, code = self._header
        assert isinstance(node, cst.FunctionDef)
        return tuple(_parameters(node.params, code))


BlockNames: TypeAlias = Names[Class | Function]
"""What a block binds."""


def lambda_parameters(source: str) -> tuple[Parameter, ...] | None:
    """The parameters of a lambda expression; None for any other text."""
    try:
        node = cst.parse_expression(source.strip())
    except cst.ParserSyntaxError:
        return None
    code = cst.parse_module("").code_for_node
    return tuple(_parameters(node.params, code)) if isinstance(node, cst.Lambda) else None


def _parameters(params: cst.Parameters, code: Code) -> Iterator[Parameter]:
    groups: list[tuple[Sequence[cst.Param], Kind]] = [
        (params.posonly_params, Kind.POSITIONAL_ONLY),
        (params.params, Kind.POSITIONAL_OR_KEYWORD),
        ([params.star_arg] if isinstance(params.star_arg, cst.Param) else [], Kind.VAR_POSITIONAL),
        (params.kwonly_params, Kind.KEYWORD_ONLY),
        ([params.star_kwarg] if params.star_kwarg is not None else [], Kind.VAR_KEYWORD),
    ]
    for group, kind in groups:
        for param in group:
            hint, default = param.annotation, param.default
            yield Parameter(
                param.name.value,
                kind,
                code(hint.annotation) if hint is not None else None,
                code(default) if default is not None else None,
            )


def parse_names(text: Text) -> BlockNames:
    """The names a file binds; raises InterfaceError where it is no Python."""
    return _read_block(text.block)


def _parse(text: Text, start: int, source: str) -> cst.Module:
    """Parse a slice that starts at ``start``, put under an ``if`` where it is indented."""
    added = 0
    if source[:1] in " \t":
        source, added = "if 1:\n" + source, 1
    try:
        return cst.parse_module(source)
    except (cst.ParserSyntaxError, RecursionError) as error:
        line = error.raw_line - 1 - added if isinstance(error, cst.ParserSyntaxError) else 0
        what = getattr(error, "message", "it is nested too deeply")
        raise InterfaceError(
            f"cannot parse this file: {what}",
            how="fix the syntax error",
            file=text.file,
            line=max(text.line(start) + line, 1),
        ) from None


def _read_block(block: Block) -> BlockNames:
    names: BlockNames = Names()
    run: list[Statement] = []
    for statement in block.statements():
        if statement.kind == "plain":
            run.append(statement)
            continue
        if statement.kind != "quiet":
            _read_plain(block.text, run, names)
            run = []
            _read_compound(block.text, statement, names)
    _read_plain(block.text, run, names)
    return names


def _read_compound(text: Text, statement: Statement, names: BlockNames) -> None:
    match statement.kind, statement.word:
        case "class", name:
            names.bind(name, Class(text, statement))
        case "def", name:
            names.bind(name, Function(text, statement))
        case _, "with" | "for" | "while":
            names.take(_read_block(text.body(statement.heads[0], statement.end)))
        case _:
            ends = [text.code.rfind("\n", 0, head) + 1 for head in statement.heads[1:]]
            names.take_branches(
                [
                    _read_block(text.body(head, end))
                    for head, end in zip(statement.heads, [*ends, statement.end], strict=True)
                    if not text.code.startswith("finally", head)
                ]
            )


def _read_plain(text: Text, run: Sequence[Statement], names: BlockNames) -> None:
    """Read a run of simple statements with one call of the parser, or one by one to place an error."""
    if not run:
        return
    source = "".join(text.text[s.start : s.end] for s in run)
    try:
        module = _parse(text, run[0].start, source)
    except InterfaceError:
        if len(run) == 1:
            raise
        for statement in run:
            _read_plain(text, [statement], names)
        return
    statements: Sequence[cst.CSTNode] = module.body
    if len(statements) == 1 and isinstance(statements[0], cst.If):
        statements = statements[0].body.body
    for node in statements:
        for small in node.body if isinstance(node, cst.SimpleStatementLine) else ():
            read_simple(small, names, module.code_for_node)
