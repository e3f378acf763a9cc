"""Adds and removes whole lines of imports, with the blank lines and comments around them."""

from __future__ import annotations

from typing import Any

import libcst as cst

from remotemod.migrate.edits import Edits
from remotemod.migrate.source import Source

__all__ = ["has_comments", "insert_import", "insertion_point", "line_of", "remove_line"]


def line_of(source: Source, statement: cst.CSTNode) -> cst.SimpleStatementLine | None:
    """The line that a statement has to itself; None if it shares one."""
    line = source.parent(statement)
    alone = isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1
    return line if alone and isinstance(line, cst.SimpleStatementLine) else None


def has_comments(line: cst.SimpleStatementLine) -> bool:
    """Whether there is a comment above, in or behind a line."""
    found = _CommentFinder()
    line.visit(found)
    return found.found


class _CommentFinder(cst.CSTVisitor):
    found = False

    def visit_Comment(self, node: cst.Comment) -> None:
        self.found = True


def remove_line(source: Source, edits: Edits, line: cst.SimpleStatementLine) -> None:
    """Removes a line that is not the only one of its suite; blank lines above it go to the next one."""
    edits.add(line, lambda node: cst.RemoveFromParent())
    body = list(getattr(source.parent(line), "body", ()))
    following = body[body.index(line) + 1 :]
    if following and line.leading_lines and not getattr(following[0], "leading_lines", ()):
        edits.add(following[0], lambda node: node.with_changes(leading_lines=line.leading_lines))


def insertion_point(module: cst.Module) -> cst.CSTNode | None:
    """The first statement behind the docstring and the imports from ``__future__``.

    None where that shares a line with them, or is not there.
    """
    for place, statement in enumerate(module.body):
        if not isinstance(statement, cst.SimpleStatementLine):
            return statement
        fixed = [_is_fixed(small, place + i) for i, small in enumerate(statement.body)]
        if not any(fixed):
            return statement
        if not all(fixed):
            return None
    return None


def _is_fixed(statement: cst.BaseSmallStatement, place: int) -> bool:
    """Whether nothing may stand in front of a statement."""
    if isinstance(statement, cst.ImportFrom):
        module = statement.module
        return isinstance(module, cst.Name) and module.value == "__future__"
    text = (cst.SimpleString, cst.ConcatenatedString)
    return place == 0 and isinstance(statement, cst.Expr) and isinstance(statement.value, text)


def insert_import(
    module: cst.Module, edits: Edits, point: cst.CSTNode, statement: cst.Import
) -> None:
    """Puts an import on a line of its own in front of a statement of the module."""
    first = module.body[0] is point

    def edit(node: Any) -> cst.FlattenSentinel[Any]:
        line = cst.SimpleStatementLine([statement])
        if isinstance(node, cst.RemovalSentinel):
            return cst.FlattenSentinel([line.with_changes(leading_lines=_blank(point))])
        nodes = list(node.nodes) if isinstance(node, cst.FlattenSentinel) else [node]
        leading = list(nodes[0].leading_lines)
        blank = _blank(nodes[0])
        rest = leading[len(blank) :]
        if not _is_import(nodes[0]):
            rest = [*(blank or [cst.EmptyLine(indent=False)]), *rest]
            blank = [] if first else [cst.EmptyLine(indent=False)]
        nodes[0] = nodes[0].with_changes(leading_lines=rest)
        return cst.FlattenSentinel([line.with_changes(leading_lines=blank), *nodes])

    edits.add(point, edit)


def _blank(statement: Any) -> list[cst.EmptyLine]:
    """The blank lines above a statement and above its comments."""
    blank: list[cst.EmptyLine] = []
    for line in statement.leading_lines:
        if line.comment is not None:
            break
        blank.append(line)
    return blank


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], (cst.Import, cst.ImportFrom)
    )
