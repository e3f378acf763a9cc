"""Rewrite ``from torch… import RemoteModule``: the class comes from us, the rest stays where it is."""

from __future__ import annotations

import re
from typing import Any

import libcst as cst

from remotemod.migrate.alias_list import comments_in, without
from remotemod.migrate.ancestor import CLASSES, OUR_CLASS, OUR_PACKAGE, PRIVATE_CLASS, PUBLIC_CLASS
from remotemod.migrate.source import Step, absolute_name

__all__ = ["MoveImports"]

_PRAGMA = re.compile(r"#\s*(noqa|type:|isort:|pylint:|ruff:|pyright:|fmt:)")


class MoveImports(Step):
    """Rewrite every import of torch's class by name; a suite gets each name once."""

    def plan(self) -> None:
        """Go through the imports in the order of the text."""
        known: set[tuple[cst.CSTNode | None, str]] = set()
        for statement in self.all(cst.ImportFrom):
            if isinstance(statement.names, cst.ImportStar):
                continue
            line = self.line_of(statement)
            suite = statement if line is None else self.parent(line)
            keeps_all = line is not None and bool(comments_in(line))
            moving: list[int] = []
            new: dict[int, cst.ImportAlias] = {}
            for place, alias in enumerate(statement.names):
                key = (suite, alias.evaluated_alias or alias.evaluated_name)
                if absolute_name(statement, alias) in CLASSES:
                    moving.append(place)
                    if keeps_all or key not in known:
                        new[place] = _ours(alias)
                if absolute_name(statement, alias) in CLASSES | {OUR_CLASS}:
                    known.add(key)
            if moving:
                self._move(statement, moving, new)

    def _move(
        self, statement: cst.ImportFrom, moving: list[int], new: dict[int, cst.ImportAlias]
    ) -> None:
        """Note the edits for the names at some places, and for the new ones, which may be fewer."""
        assert not isinstance(statement.names, cst.ImportStar)
        line = self.line_of(statement)
        if len(moving) < len(statement.names):
            staying, comments = without(statement, moving)
            parts = [_on_one_line(list(new.values())), staying] if new else [staying]
            if line is None or not new:
                self.edit(statement, lambda node: cst.FlattenSentinel(parts))
            else:
                self.edit(line, lambda node: _two_lines(node, parts, comments))
        elif new:
            names = [
                new.get(place, alias).with_changes(comma=alias.comma)
                for place, alias in enumerate(statement.names)
            ]
            ours = statement.with_changes(module=cst.Name(OUR_PACKAGE), names=names)
            self.edit(statement, lambda node: without(ours, set(moving) - new.keys())[0])
        elif line is not None:
            self.remove_line(line)


def _ours(alias: cst.ImportAlias) -> cst.ImportAlias:
    """The alias that binds the same name to our class."""
    asname = alias.asname
    if alias.evaluated_name == PRIVATE_CLASS and asname is None:
        asname = cst.AsName(cst.Name(PRIVATE_CLASS))
    elif alias.evaluated_name == PRIVATE_CLASS and alias.evaluated_alias == PUBLIC_CLASS:
        asname = asname if comments_in(asname) else None
    return alias.with_changes(name=cst.Name(PUBLIC_CLASS), asname=asname)


def _on_one_line(aliases: list[cst.ImportAlias]) -> cst.ImportFrom:
    """An import from us; its names may have been laid out over several lines."""
    names = [
        cst.ImportAlias(alias.name, alias.asname and cst.AsName(alias.asname.name))
        for alias in aliases
    ]
    return cst.ImportFrom(module=cst.Name(OUR_PACKAGE), names=names)


def _two_lines(
    line: cst.SimpleStatementLine, parts: list[cst.ImportFrom], comments: list[cst.Comment]
) -> cst.FlattenSentinel[Any]:
    """Our import on a line of its own above what stays, with the comments of the names that moved."""
    behind = line.trailing_whitespace.comment
    if behind is not None and _PRAGMA.match(behind.value) and not comments:
        comments = [behind]
    above = [cst.EmptyLine(comment=comment) for comment in comments[:-1]]
    end = cst.TrailingWhitespace()
    if comments:
        end = cst.TrailingWhitespace(cst.SimpleWhitespace("  "), comments[-1])
    ours = cst.SimpleStatementLine([parts[0]], [*line.leading_lines, *above], end)
    return cst.FlattenSentinel([ours, line.with_changes(body=[parts[1]], leading_lines=())])
