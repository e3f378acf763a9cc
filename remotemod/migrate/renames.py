"""Decide where ``_RemoteModule`` can be called ``RemoteModule`` without meeting another name."""

from __future__ import annotations

import re

import libcst as cst
from libcst.metadata import ClassScope, ImportAssignment, Scope

from remotemod.migrate.ancestor import CLASSES, OUR_CLASS, PRIVATE_CLASS, PUBLIC_CLASS
from remotemod.migrate.source import Step, absolute_name, imports_of

__all__ = ["RenamePrivateClass"]

_TYPE_COMMENT = re.compile(rf"#\s*type:.*\b{PRIVATE_CLASS}\b")


class RenamePrivateClass(Step):
    """Rename torch's private class, where it is imported and where it is used."""

    def plan(self) -> None:
        """Rename scope by scope; a scope in which that is not safe keeps the name."""
        if self._is_spoken_of() or not self._is_free():
            return
        for scope in self.scopes:
            imports = [a for a in imports_of(PRIVATE_CLASS, scope) if _binds_class(a)]
            uses = self._uses(scope, imports)
            others = (s for s in self.scopes if s is not scope)
            if not uses or any(imports_of(PUBLIC_CLASS, other) for other in others):
                continue
            for assignment in imports:
                assert isinstance(assignment.node, cst.ImportFrom)
                assert not isinstance(assignment.node.names, cst.ImportStar)
                aliases = [alias.name for alias in assignment.node.names]
                uses += [name for name in aliases if name.value == PRIVATE_CLASS]  # type: ignore[misc]
            for name in uses:
                self.edit(name, lambda node: node.with_changes(value=PUBLIC_CLASS))

    def _uses(self, scope: Scope, imports: list[ImportAssignment]) -> list[cst.Name]:
        """The names that mean what these imports bind; none where one of them cannot be renamed."""
        bound = [a for a in scope.assignments if a.name == PRIVATE_CLASS]
        if len(bound) != len(imports) or isinstance(scope, ClassScope):
            return []
        accesses = {access for assignment in imports for access in assignment.references}
        uses = [access.node for access in accesses if set(access.referents) <= set(imports)]
        names = [node for node in uses if isinstance(node, cst.Name)]
        # What nothing here uses is there for others to import.
        return names if len(names) == len(accesses) else []

    def _is_spoken_of(self) -> bool:
        """Whether text names the private class, or a scope reaches out for it."""
        if self.is_package() or self.is_unclear(PRIVATE_CLASS) or self.is_quoted(PRIVATE_CLASS):
            return True
        reached = {item.name.value for item in self.all(cst.NameItem)}  # by global and nonlocal
        comments = (comment.value for comment in self.all(cst.Comment))
        return bool(reached & {PRIVATE_CLASS, PUBLIC_CLASS}) or any(
            map(_TYPE_COMMENT.search, comments)
        )

    def _is_free(self) -> bool:
        """Whether the public class's name means the class wherever the file uses it."""
        meanings: set[str] = set()
        for scope in self.scopes:
            for access in scope.accesses[PUBLIC_CLASS]:
                meanings |= self.meanings_of(PUBLIC_CLASS, access.scope) or {"unknown"}
            for assignment in scope.assignments[PUBLIC_CLASS]:
                is_import = isinstance(assignment, ImportAssignment)
                names = {q.name for q in assignment.get_qualified_names_for(PUBLIC_CLASS)}
                meanings |= names if is_import else {"bound here"}
        return meanings <= CLASSES | {OUR_CLASS} and not self.is_unclear(PUBLIC_CLASS)


def _binds_class(assignment: ImportAssignment) -> bool:
    """Whether the statement binds the private class by its own name, with no ``as``."""
    statement = assignment.node
    if not isinstance(statement, cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        return False
    return all(
        absolute_name(statement, alias) in CLASSES and alias.asname is None
        for alias in statement.names
        if PRIVATE_CLASS in (alias.evaluated_name, alias.evaluated_alias)
    )
