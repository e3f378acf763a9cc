"""Rewrites ``torch.distributed.nn.RemoteModule`` to ``remotemod.RemoteModule`` and imports remotemod for it."""

from __future__ import annotations

import libcst as cst
from libcst.metadata import GlobalScope

from remotemod.migrate.ancestor import CLASSES, OUR_PACKAGE, PRIVATE_CLASS, PUBLIC_CLASS
from remotemod.migrate.edits import Edits
from remotemod.migrate.source import Source
from remotemod.migrate.suites import insert_import, insertion_point

__all__ = ["insert_our_import", "rewrite_dotted_uses"]


def rewrite_dotted_uses(source: Source, edits: Edits) -> str | None:
    """Rewrites the uses that surely mean torch's class.

    Returns:
        The name that they call remotemod by, if it must still be imported.
    """
    uses = [
        node
        for node in source.all(cst.Attribute)
        if node.attr.value in (PUBLIC_CLASS, PRIVATE_CLASS) and _is_class(source, node)
    ]
    if not uses:
        return None
    have = _imported_name(source, before=min(source.line(use) for use in uses))
    if have is None and insertion_point(source.module) is None:
        return None
    name = have or _free_name(source)
    for use in uses:
        edits.add(use, lambda node: _renamed(node, name))
    return name if have is None else None


def insert_our_import(source: Source, edits: Edits, name: str) -> None:
    """Imports remotemod under a name; to be called when the lines that go are known."""
    point = insertion_point(source.module)
    assert point is not None
    asname = None if name == OUR_PACKAGE else cst.AsName(cst.Name(name))
    statement = cst.Import([cst.ImportAlias(cst.Name(OUR_PACKAGE), asname)])
    insert_import(source.module, edits, point, statement)


def _is_class(source: Source, node: cst.Attribute) -> bool:
    meanings = source.meanings(node)
    return bool(meanings) and meanings <= CLASSES


def _renamed(node: cst.Attribute, name: str) -> cst.Attribute:
    return node.with_changes(value=cst.Name(name), attr=cst.Name(PUBLIC_CLASS))


def _imported_name(source: Source, before: int) -> str | None:
    """The name of an import of remotemod that all of the file can use from a line on."""
    for line in source.module.body:
        if not isinstance(line, cst.SimpleStatementLine) or source.line(line) >= before:
            continue
        for statement in line.body:
            if not isinstance(statement, cst.Import):
                continue
            for alias in statement.names:
                name = alias.evaluated_alias or alias.evaluated_name
                if alias.evaluated_name == OUR_PACKAGE and _is_only(source, name):
                    return name
    return None


def _is_only(source: Source, name: str) -> bool:
    """Whether a name is bound once in the file, by an import at its top level."""
    if source.is_unclear(name):
        return False
    bound = [(scope, a) for scope in source.scopes for a in scope.assignments if a.name == name]
    return len(bound) == 1 and isinstance(bound[0][0], GlobalScope)


def _free_name(source: Source) -> str:
    """A name for remotemod that means nothing else anywhere in the file."""
    taken = {name.value for name in source.all(cst.Name) if _is_variable(source, name)}
    name = OUR_PACKAGE
    while name in taken:
        name = f"_{name}"
    return name


def _is_variable(source: Source, name: cst.Name) -> bool:
    """Whether a name is bound or looked up, and is no attribute, keyword or module to import from."""
    node: cst.CSTNode = name
    parent = source.parent(name)
    if isinstance(parent, cst.Arg):
        return parent.keyword is not name
    while isinstance(parent, cst.Attribute):
        if parent.attr is node:
            return False
        node, parent = parent, source.parent(parent)
    if isinstance(parent, cst.ImportAlias):
        return parent.asname is None
    return not isinstance(parent, cst.ImportFrom)
