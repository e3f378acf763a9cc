"""Decides where ``_RemoteModule`` can be called ``RemoteModule`` without meeting another name."""

from __future__ import annotations

import re

import libcst as cst
from libcst.metadata import ClassScope, ImportAssignment, Scope

from remotemod.migrate.ancestor import CLASSES, OUR_CLASS, PRIVATE_CLASS, PUBLIC_CLASS
from remotemod.migrate.edits import Edits
from remotemod.migrate.source import Source, absolute_name, imports_of

__all__ = ["rename_uses"]

_TYPE_COMMENT = re.compile(rf"#\s*type:.*\b{PRIVATE_CLASS}\b")


def rename_uses(source: Source, edits: Edits) -> frozenset[cst.CSTNode]:
    """Renames the uses of torch's private class where that is safe.

    Returns:
        The import statements behind them; other imports of the private class must keep its name.
    """
    renamed: set[cst.CSTNode] = set()
    if _is_spoken_of(source) or not _is_free(source):
        return frozenset()
    for scope in source.scopes:
        imports = [a for a in imports_of(PRIVATE_CLASS, scope) if _binds_class(a)]
        uses = _uses(source, scope, imports)
        if uses is None or not _others_agree(source, scope):
            continue
        renamed |= {a.node for a in imports}
        for name in uses:
            edits.add(name, lambda node: node.with_changes(value=PUBLIC_CLASS))
    return frozenset(renamed)


def _binds_class(assignment: ImportAssignment) -> bool:
    """Whether the statement binds the private class by its own name, with no ``as``."""
    statement = assignment.node
    if not isinstance(statement, cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        return False
    return all(
        absolute_name(statement, alias) in CLASSES and alias.asname is None
        for alias in statement.names
        if alias.evaluated_name == PRIVATE_CLASS or alias.evaluated_alias == PRIVATE_CLASS
    )


def _uses(source: Source, scope: Scope, imports: list[ImportAssignment]) -> list[cst.Name] | None:
    """The names that mean what these imports bind; None where one of them cannot be renamed."""
    bound = [a for a in scope.assignments if a.name == PRIVATE_CLASS]
    if not imports or len(bound) != len(imports) or isinstance(scope, ClassScope):
        return None
    uses: list[cst.Name] = []
    for access in {access for assignment in imports for access in assignment.references}:
        node = access.node
        if not isinstance(node, cst.Name) or not set(access.referents) <= set(imports):
            return None
        uses.append(node)
    # What nothing here uses is there for others to import.
    return uses or None


def _is_spoken_of(source: Source) -> bool:
    """Whether text names the private class, or a scope reaches out for it."""
    if source.file.endswith("__init__.py") or source.is_unclear(PRIVATE_CLASS):
        return True
    texts = (text.evaluated_value for text in source.all(cst.SimpleString))
    if PRIVATE_CLASS in texts:
        return True
    if any(_TYPE_COMMENT.search(comment.value) for comment in source.all(cst.Comment)):
        return True
    # The names of ``global`` and ``nonlocal``.
    reached = {item.name.value for item in source.all(cst.NameItem)}
    return bool(reached & {PRIVATE_CLASS, PUBLIC_CLASS})


def _is_free(source: Source) -> bool:
    """Whether the public class's name means the class wherever the file uses it."""
    if source.is_unclear(PUBLIC_CLASS):
        return False
    for scope in source.scopes:
        for access in scope.accesses:
            if access.node is not None and getattr(access.node, "value", None) == PUBLIC_CLASS:
                meanings = source.meanings_of(PUBLIC_CLASS, access.scope)
                if not meanings or not meanings <= CLASSES | {OUR_CLASS}:
                    return False
        for assignment in scope.assignments:
            if assignment.name == PUBLIC_CLASS:
                names = {q.name for q in assignment.get_qualified_names_for(PUBLIC_CLASS)}
                if not isinstance(assignment, ImportAssignment):
                    return False
                if not names <= CLASSES | {OUR_CLASS}:
                    return False
    return True


def _others_agree(source: Source, scope: Scope) -> bool:
    """Whether nothing but this scope binds the public class's name."""
    return all(other is scope or not imports_of(PUBLIC_CLASS, other) for other in source.scopes)
