"""What the names in one parsed file stand for, and the steps that a migration is made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import libcst as cst
from libcst.codemod import Codemod, CodemodContext
from libcst.helpers import get_absolute_module_for_import
from libcst.metadata import (
    BaseAssignment,
    ImportAssignment,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameSource,
    Scope,
    ScopeProvider,
)

__all__ = ["Step", "absolute_module", "absolute_name", "dotted", "imports_of"]

Node = TypeVar("Node", bound=cst.CSTNode)


class Step(Codemod):
    """One rewriting of a file: ``plan`` looks at the whole tree and notes edits, which one pass applies."""

    METADATA_DEPENDENCIES = (ScopeProvider, ParentNodeProvider, PositionProvider)

    def __init__(self, context: CodemodContext) -> None:
        super().__init__(context)
        self._edits: dict[cst.CSTNode, list[Callable[[Any], Any]]] = {}

    @abstractmethod
    def plan(self) -> None:
        """Note the edits."""

    def edit(self, node: cst.CSTNode, edit: Callable[[Any], Any]) -> None:
        """Note what makes, from a node with its inside done, what stands there instead."""
        self._edits.setdefault(node, []).append(edit)

    def remove_line(self, line: cst.SimpleStatementLine) -> None:
        """Remove a line that is not the only one of its suite; blank lines above it go to the next one."""
        body = list(getattr(self.parent(line), "body", ()))
        following = body[body.index(line) + 1 :][:1]

        def remove(node: cst.SimpleStatementLine) -> cst.RemovalSentinel:
            for after in following:
                if node.leading_lines and not getattr(after, "leading_lines", ()):
                    move = partial(cst.CSTNode.with_changes, leading_lines=node.leading_lines)
                    self._edits.setdefault(after, []).insert(0, move)
            return cst.RemoveFromParent()

        self.edit(line, remove)

    def transform_module(self, tree: cst.Module) -> cst.Module:
        """The tree with all edits done; the same object where there are none."""
        # Every analysis takes about as long as parsing; steps share one until a tree changes.
        wrapper = self.context.scratch.get("wrapper")
        if wrapper is None or wrapper.module is not tree:
            wrapper = self.context.scratch["wrapper"] = MetadataWrapper(tree)
        self.context = replace(self.context, wrapper=wrapper)
        with self.resolve(wrapper):
            return self.transform_module_impl(wrapper.module)

    def transform_module_impl(self, tree: cst.Module) -> cst.Module:
        """As ``transform_module``, for the tree that has been analysed."""
        metadata: dict[Any, Any] = self.metadata  # type: ignore[assignment]
        self._parents: dict[cst.CSTNode, cst.CSTNode] = metadata[ParentNodeProvider]
        self._scopes: dict[cst.CSTNode, Scope | None] = metadata[ScopeProvider]
        self.scopes = list(dict.fromkeys(scope for scope in self._scopes.values() if scope))
        self._unseen = {node.value for node in self._bound_unseen() if isinstance(node, cst.Name)}
        self.plan()
        return tree.visit(_Edits(self._edits)) if self._edits else tree

    def all(self, *kinds: type[Node]) -> Iterator[Node]:
        """All nodes of some kinds; statements in the order of the text."""
        return (node for node in self._parents if isinstance(node, kinds))

    def imports(self) -> Iterator[cst.Import | cst.ImportFrom]:
        """All imports, in the order of the text."""
        return (node for node in self._parents if isinstance(node, (cst.Import, cst.ImportFrom)))

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around this one; None for the module."""
        return self._parents.get(node)

    def around(self, node: cst.CSTNode, *kinds: type[Any]) -> cst.CSTNode | None:
        """The nearest node of some kinds around this one."""
        parent = self.parent(node)
        return (
            parent if parent is None or isinstance(parent, kinds) else self.around(parent, *kinds)
        )

    def line_of(self, statement: cst.CSTNode) -> cst.SimpleStatementLine | None:
        """The line that a statement has to itself; None if it shares one."""
        line = self.parent(statement)
        return line if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1 else None

    def number(self, node: cst.CSTNode) -> int:
        """The 1-based number of the line that a node starts on."""
        return self.get_metadata(PositionProvider, node).start.line

    def scope(self, node: cst.CSTNode) -> Scope | None:
        """The scope that a node's names are looked up in."""
        return self._scopes.get(node)

    def is_package(self) -> bool:
        """Whether the file is an ``__init__.py``, of which every name may be meant for others."""
        return (self.context.filename or "").endswith("__init__.py")

    def is_quoted(self, name: str) -> bool:
        """Whether a string of the file is a name: an export, a forward reference."""
        return any(node.evaluated_value == name for node in self.all(cst.SimpleString))

    def is_unclear(self, name: str) -> bool:
        """Whether a name is bound somewhere in a way that libcst's scopes do not know of."""
        return name in self._unseen

    def _bound_unseen(self) -> Iterator[cst.CSTNode | None]:
        for node in self._parents:
            if isinstance(node, (cst.MatchAs, cst.MatchStar)):
                yield node.name
            elif isinstance(node, cst.MatchMapping):
                yield node.rest
            elif isinstance(node, cst.NamedExpr) and self.around(node, cst.BaseComp):
                yield node.target
            elif isinstance(node, cst.Del):
                elements = getattr(node.target, "elements", None)
                yield from [node.target] if elements is None else [e.value for e in elements]

    def bindings(self, name: str, scope: Scope | None) -> frozenset[BaseAssignment]:
        """What may have bound a plain name; nothing where that cannot be told."""
        return frozenset() if scope is None or self.is_unclear(name) else frozenset(scope[name])

    def meanings(self, node: cst.CSTNode) -> frozenset[str]:
        """The absolute names that a name or dotted name may stand for.

        Every import that may have bound it gives one; what the file itself binds starts with a dot.
        """
        name = dotted(node)
        return frozenset() if name is None else self.meanings_of(name, self.scope(node))

    def meanings_of(self, name: str, scope: Scope | None) -> frozenset[str]:
        """As ``meanings``, for a dotted name that is looked up in ``scope``."""
        # Only the root is looked up: QualifiedNameProvider finds ``import a.b`` by "a.b" even where "a" is hidden.
        return frozenset(
            q.name if q.source is QualifiedNameSource.IMPORT else f".{q.name}"
            for binding in self.bindings(name.partition(".")[0], scope)
            for q in binding.get_qualified_names_for(name)
        )


class _Edits(cst.CSTTransformer):
    def __init__(self, edits: dict[cst.CSTNode, list[Callable[[Any], Any]]]) -> None:
        super().__init__()
        self._edits = edits

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> Any:
        updated: Any = updated_node
        for edit in self._edits.get(original_node, ()):
            updated = edit(updated)
        return updated


def imports_of(name: str, scope: Scope) -> list[ImportAssignment]:
    """The imports that bind a plain name in a scope itself."""
    return [a for a in scope.assignments if isinstance(a, ImportAssignment) and a.name == name]


def dotted(node: cst.CSTNode) -> str | None:
    """``a.b.c`` as text; None for anything but names and attributes of names."""
    if isinstance(node, cst.Attribute):
        front = dotted(node.value)
        return None if front is None else f"{front}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else None


def absolute_module(statement: cst.Import | cst.ImportFrom) -> str:
    """The module that names are imported from; empty for relative imports, and for plain ones."""
    if isinstance(statement, cst.Import):
        return ""
    return get_absolute_module_for_import(None, statement) or ""


def absolute_name(statement: cst.Import | cst.ImportFrom, alias: cst.ImportAlias) -> str:
    """The absolute name of what is imported; empty for relative imports."""
    if isinstance(statement, cst.Import):
        return alias.evaluated_name
    module = absolute_module(statement)
    return f"{module}.{alias.evaluated_name}" if module else ""
