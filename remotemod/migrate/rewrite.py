"""Migrate one text: the steps of the codemod, one after the other."""

from __future__ import annotations

import ast
import warnings

import libcst as cst
from libcst.codemod import CodemodCommand, CodemodContext

from remotemod.errors import InterfaceError
from remotemod.migrate.dotted_uses import ImportOurs, RewriteUses
from remotemod.migrate.from_imports import MoveImports
from remotemod.migrate.keywords import RenameKeywords
from remotemod.migrate.model import Migrated
from remotemod.migrate.remarks import FindRemarks
from remotemod.migrate.renames import RenamePrivateClass

__all__ = ["MigrateRemoteModule", "migrate_text"]


class MigrateRemoteModule(CodemodCommand):
    """The whole migration; ``python -m libcst.tool codemod -x`` runs it too.

    Attributes:
        remarks: the remarks on the last file, which are the codemod's warnings too.
    """

    DESCRIPTION = "Move from torch.distributed.nn.RemoteModule to remotemod.RemoteModule."

    def transform_module_impl(self, tree: cst.Module) -> cst.Module:
        """The tree with torch's RemoteModule replaced by ours."""
        steps = (RenamePrivateClass, MoveImports, ImportOurs, RewriteUses, RenameKeywords)
        finder = FindRemarks(self.context)
        tree = finder.transform_module(tree)
        self.remarks = finder.remarks
        for remark in self.remarks:
            self.warn(f"line {remark.line}: {remark.what}; {remark.how}")
        for step in steps:
            tree = step(self.context).transform_module(tree)
        return tree


def migrate_text(text: str, file: str = "<string>") -> Migrated:
    """The text with torch's RemoteModule replaced by ours; doing it twice changes nothing more.

    Args:
        text: Python source.
        file: its name, for messages; in an ``__init__.py`` every imported name may be meant for others.

    Raises:
        InterfaceError: the text is no Python.
    """
    migration = MigrateRemoteModule(CodemodContext(filename=file))
    try:
        code = migration.transform_module(_parse(text, file)).code
    except RecursionError:
        what, how = "is nested too deeply to be read", "split its longest expression"
        raise InterfaceError(what, how=how, file=file) from None
    return Migrated(code, migration.remarks)


def _parse(text: str, file: str) -> cst.Module:
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        line, message = _diagnosis(text) or (error.raw_line, error.message)
    what = f"cannot be parsed as Python: {message}"
    raise InterfaceError(what, how="correct the file, or leave it out", file=file, line=line)


def _diagnosis(text: str) -> tuple[int, str] | None:
    """What Python itself finds wrong, which it says better than libcst; None if it finds nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError) as error:  # the latter for null bytes, in old Pythons
        line = getattr(error, "lineno", None)
        return line or text.count("\n", 0, text.find("\0")) + 1, getattr(error, "msg", str(error))
    return None
