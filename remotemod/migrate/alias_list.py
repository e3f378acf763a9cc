"""Take names out of an import list and keep the comments of those that stay and of those that go."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import libcst as cst
import libcst.matchers as m

__all__ = ["comments_in", "without"]

Statement = TypeVar("Statement", cst.Import, cst.ImportFrom)
Gap = cst.BaseParenthesizableWhitespace


def comments_in(node: cst.CSTNode | None) -> list[cst.Comment]:
    """All comments above, in and behind a node."""
    return [] if node is None else list(m.findall(node, m.Comment()))  # type: ignore[arg-type]


def without(statement: Statement, leaving: Collection[int]) -> tuple[Statement, list[cst.Comment]]:
    """The statement without the names at some places, and the comments that belonged to those.

    Args:
        statement: an import of several names, of which at least one stays.
        leaving: the places of the names that go, from 0.
    """
    lpar, rpar = getattr(statement, "lpar", None), getattr(statement, "rpar", None)
    names: list[cst.ImportAlias] = list(statement.names)  # type: ignore[arg-type]
    has_last_comma = isinstance(names[-1].comma, cst.Comma)
    none = cst.SimpleWhitespace("")
    # The white space in front of each name, and behind the last.
    gaps: list[Gap] = [lpar.whitespace_after if lpar else none]
    gaps += [getattr(alias.comma, "whitespace_after", none) for alias in names]
    if rpar and not has_last_comma:
        gaps[-1] = rpar.whitespace_before
    taken: list[cst.Comment] = []
    for place in sorted(leaving, reverse=True):
        is_last = place == len(names) - 1
        gaps[place : place + 2], above, behind = _join(gaps[place], gaps[place + 1], is_last)
        taken = above + comments_in(names.pop(place).asname) + behind + taken
    for place, (alias, gap) in enumerate(zip(names, gaps[1:], strict=True)):
        comma = alias.comma if isinstance(alias.comma, cst.Comma) else cst.Comma()
        names[place] = alias.with_changes(comma=comma.with_changes(whitespace_after=gap))
    if not has_last_comma:
        names[-1] = names[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        rpar = rpar and rpar.with_changes(whitespace_before=gaps[-1])
    if lpar:
        changed = statement.with_changes(
            lpar=lpar.with_changes(whitespace_after=gaps[0]), rpar=rpar, names=names
        )
        return changed, taken
    return statement.with_changes(names=names), taken


def _join(
    before: Gap, behind: Gap, is_last: bool
) -> tuple[list[Gap], list[cst.Comment], list[cst.Comment]]:
    """A gap for the two around a name that goes, and the comments above and behind it that go too.

    The name's own are the lines above it and the end of its line, if it stands on a line alone.
    """
    if not isinstance(before, cst.ParenthesizedWhitespace):
        both = (before, behind)
        if isinstance(behind, cst.ParenthesizedWhitespace):
            return [behind], [], []
        return [min(both, key=lambda gap: 0 if gap.empty else 1)], [], []
    above = [comment for line in before.empty_lines for comment in comments_in(line)]
    if isinstance(behind, cst.ParenthesizedWhitespace):
        gap = behind.with_changes(first_line=before.first_line)
        return [gap], above, comments_in(behind.first_line)
    is_commented = before.first_line.comment or above
    return [behind if is_last and not is_commented else before], [], []
