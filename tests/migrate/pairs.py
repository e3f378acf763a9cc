"""Reads pairs of texts before and after, and migrates with all that must hold of any migration."""

from __future__ import annotations

from textwrap import dedent

from remotemod.migrate.rewrite import migrate_text


def text(block: str) -> str:
    """A block without its indentation and its first line's end."""
    return dedent(block).removeprefix("\n")


def migrated(before: str, file: str = "model.py") -> str:
    """The new text, which compiles, and which a second run leaves alone."""
    after = migrate_text(before, file).text
    compile(after, file, "exec")
    assert migrate_text(after, file).text == after
    return after


def remarks(block: str) -> list[tuple[int, str]]:
    """The lines and first sentences of the remarks."""
    return [(r.line, r.what) for r in migrate_text(text(block)).remarks]
