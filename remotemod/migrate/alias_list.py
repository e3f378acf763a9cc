"""Takes names out of an import list and keeps the comments of those that stay and of those that go."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import libcst as cst

__all__ = ["without"]

Gap = cst.BaseParenthesizableWhitespace


def without(
    statement: cst.ImportFrom | cst.Import, leaving: Collection[int]
) -> tuple[cst.ImportFrom | cst.Import, list[cst.Comment]]:
    """The statement without the names at some places, and the comments that belonged to those.

    Args:
        statement: an import of several names, of which at least one stays.
        leaving: the places of the names that go, from 0.
    """
    assert not isinstance(statement.names, cst.ImportStar)
    names = list(statement.names)
    gaps = _gaps(statement)
    taken: list[cst.Comment] = []
    for place in sorted(leaving, reverse=True):
        gap, comments = _join(gaps[place], gaps[place + 1], last=place == len(names) - 1)
        gaps[place : place + 2] = [gap]
        taken = comments + taken
        del names[place]
    trailing = isinstance(names[-1].comma, cst.Comma) and (
        len(statement.names) - 1 not in leaving or isinstance(statement.names[-1].comma, cst.Comma)
    )
    kept = [
        alias.with_changes(comma=_comma(alias).with_changes(whitespace_after=gap))
        for alias, gap in zip(names, gaps[1:], strict=True)
    ]
    changes: dict[str, Any] = {"names": kept}
    rpar = getattr(statement, "rpar", None)
    if not trailing:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    if isinstance(statement, cst.ImportFrom) and statement.lpar is not None:
        changes["lpar"] = statement.lpar.with_changes(whitespace_after=gaps[0])
        if not trailing and rpar is not None:
            changes["rpar"] = rpar.with_changes(whitespace_before=gaps[-1])
    return statement.with_changes(**changes), taken


def _comma(alias: cst.ImportAlias) -> cst.Comma:
    return alias.comma if isinstance(alias.comma, cst.Comma) else cst.Comma()


def _gaps(statement: cst.ImportFrom | cst.Import) -> list[Gap]:
    """The white space in front of each name, and behind the last."""
    assert not isinstance(statement.names, cst.ImportStar)
    lpar = statement.lpar if isinstance(statement, cst.ImportFrom) else None
    rpar = statement.rpar if isinstance(statement, cst.ImportFrom) else None
    gaps: list[Gap] = [cst.SimpleWhitespace("") if lpar is None else lpar.whitespace_after]
    for alias in statement.names:
        if isinstance(alias.comma, cst.Comma):
            gaps.append(alias.comma.whitespace_after)
        else:
            gaps.append(cst.SimpleWhitespace("") if rpar is None else rpar.whitespace_before)
    return gaps


def _join(before: Gap, behind: Gap, last: bool) -> tuple[Gap, list[cst.Comment]]:
    """One gap for the two around a name that goes, and the comments that go with it.

    The name's own are the lines above it and the end of its line, if it stands on a line alone.
    """
    if isinstance(before, cst.ParenthesizedWhitespace):
        if isinstance(behind, cst.ParenthesizedWhitespace):
            own = [line.comment for line in before.empty_lines] + [behind.first_line.comment]
            gap = behind.with_changes(first_line=before.first_line)
            return gap, [comment for comment in own if comment is not None]
        commented = before.first_line.comment or any(line.comment for line in before.empty_lines)
        return (behind if last and not commented else before), []
    if isinstance(behind, cst.ParenthesizedWhitespace):
        return behind, []
    return min(before, behind, key=lambda gap: 0 if gap.empty else 1), []
