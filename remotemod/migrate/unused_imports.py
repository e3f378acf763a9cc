"""Removes the imports of torch's modules that nothing uses any more, where that is beyond doubt."""

from __future__ import annotations

from collections.abc import Collection

import libcst as cst
from libcst.metadata import ImportAssignment

from remotemod.migrate.alias_list import without
from remotemod.migrate.ancestor import CLASSES
from remotemod.migrate.edits import Edits
from remotemod.migrate.source import Source, absolute_name, dotted, imports_of
from remotemod.migrate.suites import has_comments, line_of, remove_line

__all__ = ["remove_unused_imports"]

Statement = cst.Import | cst.ImportFrom


def remove_unused_imports(source: Source, edits: Edits) -> None:
    """Removes imports of which every use has been rewritten.

    What stands in a ``try`` or an ``if``, has a comment, or may be there for others to import, stays.
    """
    if source.file.endswith("__init__.py"):
        return
    spoken_of = {text.evaluated_value for text in source.all(cst.SimpleString)}
    for statement in source.import_statements():
        line = line_of(source, statement)
        if line is None or isinstance(statement.names, cst.ImportStar) or not _may_go(source, line):
            continue
        leaving = [
            place
            for place, alias in enumerate(statement.names)
            if _is_done_with(source, edits, statement, alias, spoken_of)
        ]
        if len(leaving) == len(statement.names):
            remove_line(source, edits, line)
        elif leaving:
            _shorten(edits, statement, leaving)


def _shorten(edits: Edits, statement: Statement, leaving: list[int]) -> None:
    edits.add(statement, lambda node: without(node, leaving)[0])


def _may_go(source: Source, line: cst.SimpleStatementLine) -> bool:
    """Whether a line is one of several at the top level or in a function, and has no comment."""
    suite = source.parent(line)
    if not isinstance(suite, (cst.Module, cst.IndentedBlock)) or len(suite.body) == 1:
        return False
    at_ease = isinstance(suite, cst.Module) or isinstance(source.parent(suite), cst.FunctionDef)
    return at_ease and not has_comments(line)


def _leads_to_class(statement: Statement, alias: cst.ImportAlias) -> bool:
    """Whether torch's class can be reached through what is imported."""
    name = absolute_name(statement, alias)
    return bool(name) and any(known.startswith(f"{name}.") for known in CLASSES)


def _is_done_with(
    source: Source,
    edits: Edits,
    statement: Statement,
    alias: cst.ImportAlias,
    spoken_of: Collection[str | bytes],
) -> bool:
    """Whether what is imported had uses and all of them have been rewritten."""
    name = (alias.evaluated_alias or alias.evaluated_name).partition(".")[0]
    exported = alias.asname is not None and alias.evaluated_name == name
    scope = source.scope(statement)
    if exported or name in spoken_of or source.is_unclear(name) or scope is None:
        return False
    if not _leads_to_class(statement, alias):
        return False
    mine = [
        a
        for a in scope.assignments
        if isinstance(a, ImportAssignment)
        and a.node is statement
        and a.name.partition(".")[0] == name
    ]
    chains = {_chain(source, access.node) for a in mine for access in a.references}
    rewritten = {chain for chain in chains if any(node in edits for node in chain)}
    left = chains - rewritten
    above, dot, _ = alias.evaluated_name.rpartition(".")
    others = any(a.node is not statement for a in imports_of(name, scope))
    if others and dot and alias.asname is None and isinstance(statement, cst.Import):
        # ``import torch`` keeps what does not go through ``import torch.distributed.nn`` beside it.
        left = {chain for chain in left if _reaches(chain, above)}
    return bool(rewritten) and not left


Chain = tuple[cst.CSTNode, ...]


def _chain(source: Source, node: cst.CSTNode) -> Chain:
    """A use and the dotted names that it is the beginning of."""
    chain = [node]
    parent = source.parent(node)
    while isinstance(parent, cst.Attribute) and parent.value is chain[-1]:
        chain.append(parent)
        parent = source.parent(parent)
    return tuple(chain)


def _reaches(chain: Chain, module: str) -> bool:
    """Whether a use may go through a module (``a.b`` through ``a.b`` itself or from it)."""
    text = dotted(chain[-1])
    return text is None or f"{text}.".startswith(f"{module}.")
