"""One parsed file, and what the names in it stand for."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import TypeVar

import libcst as cst
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

from remotemod.errors import InterfaceError

__all__ = ["Source", "absolute_module", "absolute_name", "dotted", "imports_of"]

Node = TypeVar("Node", bound=cst.CSTNode)


class Source:
    """A file's tree with its scopes, parents and lines.

    Args:
        text: the file's text.
        file: its name, for messages.

    Raises:
        InterfaceError: the text is no Python.
    """

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self._wrapper = MetadataWrapper(_parse(text, file), unsafe_skip_copy=True)
        self.module = self._wrapper.module
        self._scopes = self._wrapper.resolve(ScopeProvider)
        self._parents = self._wrapper.resolve(ParentNodeProvider)
        collector = _Collector()
        self.module.visit(collector)
        self._nodes = collector.nodes
        self._unseen = frozenset(collector.bound_unseen)

    def all(self, kind: type[Node]) -> Iterator[Node]:
        """All nodes of a kind, in the order of the text."""
        for node in self._nodes.get(kind, []):
            assert isinstance(node, kind)
            yield node

    def import_statements(self) -> Iterator[cst.Import | cst.ImportFrom]:
        """All imports, the plain ones first."""
        yield from self.all(cst.Import)
        yield from self.all(cst.ImportFrom)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around this one; None for the module."""
        return self._parents.get(node)

    def line(self, node: cst.CSTNode) -> int:
        """The 1-based line that a node starts on."""
        return self._positions[node].start.line

    @cached_property
    def _positions(self) -> dict[cst.CSTNode, cst.metadata.CodeRange]:
        return dict(self._wrapper.resolve(PositionProvider))

    @cached_property
    def scopes(self) -> list[Scope]:
        """All scopes of the file."""
        return list(dict.fromkeys(s for s in self._scopes.values() if s is not None))

    def scope(self, node: cst.CSTNode) -> Scope | None:
        """The scope that a node's names are looked up in."""
        return self._scopes.get(node)

    def clients(self, name: str, scope: Scope | None) -> frozenset[BaseAssignment]:
        """What may have bound a plain name; nothing where that cannot be told."""
        if scope is None or self.is_unclear(name):
            return frozenset()
        return frozenset(scope[name])

    def is_unclear(self, name: str) -> bool:
        """Whether a name is bound somewhere in a way that libcst's scopes do not know of."""
        return name in self._unseen

    def meanings(self, node: cst.CSTNode) -> frozenset[str]:
        """The absolute names that a name or dotted name may stand for.

        Every import that may have bound it gives one; what the file itself binds starts with a dot.
        """
        name = dotted(node)
        return frozenset() if name is None else self.meanings_of(name, self.scope(node))

    def meanings_of(self, name: str, scope: Scope | None) -> frozenset[str]:
        """As ``meanings``, for a dotted name that is looked up in ``scope``."""
        # The root alone is looked up: libcst finds ``import a.b`` by "a.b" even where "a" is hidden.
        return frozenset(
            q.name if q.source is QualifiedNameSource.IMPORT else f".{q.name}"
            for assignment in self.clients(name.partition(".")[0], scope)
            for q in assignment.get_qualified_names_for(name)
        )


def imports_of(name: str, scope: Scope) -> list[ImportAssignment]:
    """The imports that bind a plain name in a scope itself."""
    return [a for a in scope.assignments if isinstance(a, ImportAssignment) and a.name == name]


def _parse(text: str, file: str) -> cst.Module:
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        line, message = _diagnosis(text) or (error.raw_line, error.message)
    what = f"cannot be parsed as Python: {message}"
    raise InterfaceError(what, how="mend the file, or leave it out", file=file, line=line)


def _diagnosis(text: str) -> tuple[int, str] | None:
    """What Python itself finds wrong, which it says better than libcst; None if it finds nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError) as error:  # the latter for null bytes, in old Pythons
            line = (
                getattr(error, "lineno", None) or text.count("\n", 0, max(text.find("\0"), 0)) + 1
            )
            return line, getattr(error, "msg", str(error))
    return None


def dotted(node: cst.CSTNode) -> str | None:
    """``a.b.c`` as text; None for anything but names and attributes of names."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        front = dotted(node.value)
        return None if front is None else f"{front}.{node.attr.value}"
    return None


def absolute_name(statement: cst.ImportFrom | cst.Import, alias: cst.ImportAlias) -> str:
    """The absolute name of what is imported; empty for relative imports."""
    name = dotted(alias.name) or ""
    if isinstance(statement, cst.Import):
        return name
    module = absolute_module(statement)
    return f"{module}.{name}" if module else ""


def absolute_module(statement: cst.Import | cst.ImportFrom) -> str:
    """The module that names are imported from; empty for relative imports, and for plain ones."""
    if isinstance(statement, cst.Import) or statement.relative or statement.module is None:
        return ""
    return dotted(statement.module) or ""


class _Collector(cst.CSTVisitor):
    """Sorts the nodes by kind, and notes bindings that libcst's scopes do not see."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[type[cst.CSTNode], list[cst.CSTNode]] = {}
        self.bound_unseen: set[str] = set()
        self._comprehensions = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        self.nodes.setdefault(type(node), []).append(node)
        if isinstance(node, cst.BaseComp):
            self._comprehensions += 1
        elif isinstance(node, (cst.MatchAs, cst.MatchStar)):
            self._note(node.name)
        elif isinstance(node, cst.MatchMapping):
            self._note(node.rest)
        elif isinstance(node, cst.NamedExpr) and self._comprehensions:
            self._note(node.target)
        elif isinstance(node, cst.Del):
            elements = getattr(node.target, "elements", None)
            for target in [node.target] if elements is None else [e.value for e in elements]:
                self._note(target)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.BaseComp):
            self._comprehensions -= 1

    def _note(self, name: cst.CSTNode | None) -> None:
        if isinstance(name, cst.Name):
            self.bound_unseen.add(name.value)
