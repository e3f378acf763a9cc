"""Rewrites ``from torch… import RemoteModule``: the class comes from us, the rest stays where it is."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import libcst as cst

from remotemod.migrate.alias_list import without
from remotemod.migrate.ancestor import CLASSES, OUR_CLASS, OUR_PACKAGE, PRIVATE_CLASS, PUBLIC_CLASS
from remotemod.migrate.edits import Edits
from remotemod.migrate.source import Source, absolute_name
from remotemod.migrate.suites import has_comments, line_of, remove_line

__all__ = ["rewrite_from_imports"]

_PRAGMA = re.compile(r"#\s*(noqa|type:|isort:|pylint:|ruff:|pyright:|fmt:)")


def rewrite_from_imports(source: Source, edits: Edits, renamed: Collection[cst.CSTNode]) -> None:
    """Rewrites every import of torch's class by name.

    Args:
        source: the file.
        edits: where the edits go.
        renamed: statements whose private class has its uses renamed already.
    """
    known: set[tuple[cst.CSTNode, str]] = set()
    for statement in source.all(cst.ImportFrom):
        if isinstance(statement.names, cst.ImportStar):
            continue
        line = line_of(source, statement)
        suite = None if line is None else source.parent(line)
        moving: dict[int, cst.ImportAlias] = {}
        for place, alias in enumerate(statement.names):
            name = absolute_name(statement, alias)
            if name in CLASSES:
                moving[place] = _ours(alias, statement in renamed)
            elif name == OUR_CLASS and suite is not None:
                known.add((suite, _bound(alias)))
        if moving:
            _move(source, edits, statement, moving, known)


def _ours(alias: cst.ImportAlias, renamed: bool) -> cst.ImportAlias:
    """The alias that binds the same name to our class; the new one where uses are renamed."""
    asname = alias.asname
    if alias.evaluated_name == PRIVATE_CLASS:
        if asname is None and not renamed:
            asname = cst.AsName(cst.Name(PRIVATE_CLASS))
        elif alias.evaluated_alias == PUBLIC_CLASS:
            asname = None
    return alias.with_changes(name=cst.Name(PUBLIC_CLASS), asname=asname)


def _bound(alias: cst.ImportAlias) -> str:
    return alias.evaluated_alias or alias.evaluated_name


def _move(
    source: Source,
    edits: Edits,
    statement: cst.ImportFrom,
    moving: dict[int, cst.ImportAlias],
    known: set[tuple[cst.CSTNode, str]],
) -> None:
    assert not isinstance(statement.names, cst.ImportStar)
    line = line_of(source, statement)
    suite = None if line is None else source.parent(line)
    fresh: dict[int, cst.ImportAlias] = {}
    here: set[str] = set()
    for place, alias in moving.items():
        name = _bound(alias)
        twice = name in here or (suite is not None and (suite, name) in known)
        here.add(name)
        if not twice or (line is not None and has_comments(line)):
            fresh[place] = alias
    if suite is not None:
        known |= {(suite, name) for name in here}

    if len(moving) == len(statement.names):
        if fresh:
            edits.add(statement, lambda node: _whole(node, moving, fresh))
        elif line is not None:
            remove_line(source, edits, line)
        return
    staying, comments = without(statement, moving.keys())
    if not fresh:
        edits.add(statement, lambda node: staying)
        return
    ours = _statement(list(fresh.values()))
    if line is None:
        edits.add(statement, lambda node: cst.FlattenSentinel([ours, staying]))
        return
    edits.add(statement, lambda node: staying)
    edits.add(line, lambda node: _two_lines(node, ours, comments))


def _whole(
    statement: cst.ImportFrom,
    moving: dict[int, cst.ImportAlias],
    fresh: dict[int, cst.ImportAlias],
) -> cst.ImportFrom:
    """The statement with all its names from us, laid out as it was."""
    assert not isinstance(statement.names, cst.ImportStar)
    names = [
        alias.with_changes(comma=old.comma)
        for alias, old in zip(moving.values(), statement.names, strict=True)
    ]
    changed = statement.with_changes(module=cst.Name(OUR_PACKAGE), names=names)
    double = [place for place in moving if place not in fresh]
    return without(changed, double)[0] if double else changed  # type: ignore[return-value]


def _statement(aliases: list[cst.ImportAlias]) -> cst.ImportFrom:
    plain = [alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in aliases]
    return cst.ImportFrom(module=cst.Name(OUR_PACKAGE), names=plain)


def _two_lines(
    line: cst.SimpleStatementLine, ours: cst.ImportFrom, comments: list[cst.Comment]
) -> cst.FlattenSentinel[Any]:
    """Our import on a line of its own above what stays, with the comments of the names that moved."""
    behind = line.trailing_whitespace.comment
    if behind is not None and _PRAGMA.match(behind.value) and not comments:
        comments = [behind]
    above = [cst.EmptyLine(comment=comment) for comment in comments[:-1]]
    first = cst.SimpleStatementLine([ours], leading_lines=[*line.leading_lines, *above])
    if comments:
        first = first.with_changes(
            trailing_whitespace=cst.TrailingWhitespace(
                whitespace=cst.SimpleWhitespace("  "), comment=comments[-1]
            )
        )
    return cst.FlattenSentinel([first, line.with_changes(leading_lines=())])
