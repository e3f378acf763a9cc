"""Rewrite ``torch.distributed.nn.RemoteModule`` to ``remotemod.RemoteModule`` and import remotemod for it."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from libcst.metadata import GlobalScope

from remotemod.migrate.alias_list import comments_in, without
from remotemod.migrate.ancestor import CLASSES, OUR_PACKAGE, PRIVATE_CLASS, PUBLIC_CLASS
from remotemod.migrate.source import Step, absolute_module, absolute_name, dotted, imports_of

__all__ = ["ImportOurs", "RewriteUses"]


class DottedUses(Step):
    """What both steps ask: where torch's class is reached through a module, and what remotemod is called there."""

    def uses(self) -> list[cst.Attribute]:
        """The uses that surely mean torch's class."""
        names = (PUBLIC_CLASS, PRIVATE_CLASS)
        uses = (node for node in self.all(cst.Attribute) if node.attr.value in names)
        return [node for node in uses if self.meanings(node) and self.meanings(node) <= CLASSES]

    def our_name(self, uses: list[cst.Attribute]) -> str | None:
        """The name of an import of remotemod at the top level that all these uses can rely on."""
        first = min(map(self.number, uses))
        for statement in self.all(cst.Import):
            line = self.parent(statement)
            if not isinstance(self.parent(line or statement), cst.Module):
                continue
            for alias in statement.names:
                name = alias.evaluated_alias or alias.evaluated_name
                is_ours = alias.evaluated_name == OUR_PACKAGE and self._is_bound_once(name)
                if is_ours and self.number(statement) < first:
                    return name
        return None

    def _is_bound_once(self, name: str) -> bool:
        bound = [scope for scope in self.scopes for _ in scope.assignments[name]]
        return not self.is_unclear(name) and len(bound) == 1 and isinstance(bound[0], GlobalScope)


class ImportOurs(DottedUses):
    """Import remotemod, where uses need it, under a name that means nothing else in the file."""

    def plan(self) -> None:
        """Put the import behind the docstring and the imports from ``__future__``."""
        uses = self.uses()
        name = OUR_PACKAGE
        while self.is_unclear(name) or any(
            name in scope.assignments or name in scope.accesses for scope in self.scopes
        ):
            name = f"_{name}"
        asname = None if name == OUR_PACKAGE else cst.AsName(cst.Name(name))
        statement = cst.Import([cst.ImportAlias(cst.Name(OUR_PACKAGE), asname)])
        module = self.module
        place = _insertion_point(module)
        if uses and place is not None and self.our_name(uses) is None:
            self.edit(module, lambda node: _with_import(node, place, statement))


class RewriteUses(DottedUses):
    """Rewrite the uses, and remove the imports of torch's modules that nothing needs any more."""

    def plan(self) -> None:
        """Rewrite the uses that have an import of remotemod before them."""
        uses = self.uses()
        name = self.our_name(uses) if uses else None
        if name is None:
            return
        ours = cst.Name(name)
        for use in uses:
            self.edit(use, lambda node: node.with_changes(value=ours, attr=cst.Name(PUBLIC_CLASS)))
        if not self.is_package():
            for statement in self.imports():
                self._remove_unused(statement, set(uses))

    def _remove_unused(
        self, statement: cst.Import | cst.ImportFrom, rewritten: set[cst.Attribute]
    ) -> None:
        line = self.line_of(statement)
        suite = None if line is None else self.parent(line)
        if line is None or comments_in(line) or isinstance(statement.names, cst.ImportStar):
            return
        is_plain = isinstance(suite, cst.Module) or isinstance(
            self.parent(suite or line), cst.FunctionDef
        )
        if not is_plain or len(getattr(suite, "body", ())) == 1:
            return
        leaving = [
            place
            for place, alias in enumerate(statement.names)
            if self._is_done_with(statement, alias, rewritten)
        ]
        if len(leaving) == len(statement.names):
            self.remove_line(line)
        elif leaving:
            self.edit(statement, lambda node: without(node, leaving)[0])

    def _is_done_with(
        self,
        statement: cst.Import | cst.ImportFrom,
        alias: cst.ImportAlias,
        rewritten: set[cst.Attribute],
    ) -> bool:
        """Whether what is imported leads to the class, and all uses of it are among those rewritten."""
        imported = absolute_name(statement, alias)
        name = (alias.evaluated_alias or alias.evaluated_name).partition(".")[0]
        is_exported = (alias.asname is not None and alias.evaluated_name == name) or self.is_quoted(
            name
        )
        leads_to_class = imported and any(known.startswith(f"{imported}.") for known in CLASSES)
        scope = self.scope(statement)
        if not leads_to_class or is_exported or self.is_unclear(name) or scope is None:
            return False
        uses = [
            self._attributes(access.node)
            for binding in scope.assignments
            if getattr(binding, "node", None) is statement
            and binding.name.partition(".")[0] == name
            for access in binding.references
        ]
        left = [use for use in uses if rewritten.isdisjoint(use)]
        has_rewritten = len(left) < len(uses)
        above, dot, _ = alias.evaluated_name.rpartition(".")
        others = [a for a in imports_of(name, scope) if a.node is not statement]
        if others and dot and alias.asname is None and isinstance(statement, cst.Import):
            # ``import torch`` keeps what does not go through ``import torch.distributed.nn`` beside it.
            left = [use for use in left if f"{dotted(use[-1]) or above}.".startswith(f"{above}.")]
        return has_rewritten and not left

    def _attributes(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        """A name and the dotted names that begin with it."""
        parent = self.parent(node)
        is_longer = isinstance(parent, cst.Attribute) and parent.value is node
        return [node, *(self._attributes(parent) if parent and is_longer else [])]


def _insertion_point(module: cst.Module) -> int | None:
    """The place of the first statement behind the docstring and the imports from ``__future__``.

    None where that shares a line with them, or is not there.
    """
    for place, statement in enumerate(module.body):
        body = statement.body if isinstance(statement, cst.SimpleStatementLine) else []
        is_fixed = [_is_fixed(small, place + i) for i, small in enumerate(body)]
        if not any(is_fixed):
            return place
        if not all(is_fixed):
            return None
    return None


def _is_fixed(statement: cst.CSTNode, place: int) -> bool:
    """Whether nothing may stand in front of a statement."""
    if isinstance(statement, cst.ImportFrom):
        return absolute_module(statement) == "__future__"
    text = (cst.SimpleString, cst.ConcatenatedString)
    return place == 0 and isinstance(statement, cst.Expr) and isinstance(statement.value, text)


def _with_import(module: cst.Module, place: int, statement: cst.Import) -> cst.Module:
    """The module with an import on a line of its own; blank lines above the next line move above it."""
    following = module.body[place]
    leading = list(following.leading_lines)
    count = next((i for i, line in enumerate(leading) if line.comment), len(leading))
    blank, rest = leading[:count], leading[count:]
    if not m.matches(
        following, m.SimpleStatementLine([m.Import() | m.ImportFrom(), m.ZeroOrMore()])
    ):
        rest = [*(blank or [cst.EmptyLine(indent=False)]), *rest]
        blank = [cst.EmptyLine(indent=False)] if place else []
    line = cst.SimpleStatementLine([statement], leading_lines=blank)
    following = following.with_changes(leading_lines=rest)
    return module.with_changes(
        body=[*module.body[:place], line, following, *module.body[place + 1 :]]
    )
