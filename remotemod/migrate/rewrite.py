"""Migrates one text: plan all edits on its tree, apply them once."""

from __future__ import annotations

from remotemod.errors import InterfaceError
from remotemod.migrate.dotted_uses import insert_our_import, rewrite_dotted_uses
from remotemod.migrate.edits import Edits
from remotemod.migrate.from_imports import rewrite_from_imports
from remotemod.migrate.keywords import rename_keywords
from remotemod.migrate.model import Migrated
from remotemod.migrate.remarks import find_remarks
from remotemod.migrate.renames import rename_uses
from remotemod.migrate.source import Source
from remotemod.migrate.unused_imports import remove_unused_imports

__all__ = ["migrate_text"]


def migrate_text(text: str, file: str = "<string>") -> Migrated:
    """The text with torch's RemoteModule replaced by ours; doing it twice changes nothing more.

    Args:
        text: Python source.
        file: its name, for messages; in an ``__init__.py`` every imported name may be meant for others.

    Raises:
        InterfaceError: the text is no Python.
    """
    try:
        source = Source(text, file)
        edits = Edits()
        renamed = rename_uses(source, edits)
        rewrite_from_imports(source, edits, renamed)
        missing = rewrite_dotted_uses(source, edits)
        rename_keywords(source, edits)
        remove_unused_imports(source, edits)
        if missing is not None:
            insert_our_import(source, edits, missing)
        remarks = find_remarks(source)
        return Migrated(edits.apply(source.module).code if edits else text, remarks)
    except RecursionError:
        what, how = "is nested too deeply to be read", "split its longest expression"
        raise InterfaceError(what, how=how, file=file) from None
