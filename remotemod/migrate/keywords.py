"""Renames the keyword ``_module_interface_cls`` where it surely goes to a remote module."""

from __future__ import annotations

from collections.abc import Collection

import libcst as cst

from remotemod.migrate.ancestor import CLASSES, INTERFACE, OLD_INTERFACE, OUR_CLASS
from remotemod.migrate.edits import Edits
from remotemod.migrate.source import Source

__all__ = ["is_class", "rename_keywords"]


def rename_keywords(source: Source, edits: Edits) -> None:
    """Renames the keyword in calls of the class, of its makers, and of its constructor by subclasses."""
    derived: set[cst.CSTNode] = set()
    for node in source.all(cst.ClassDef):
        if node.bases and _is_derived(source, node.bases[0].value, derived):
            derived.add(node)
    for call in source.all(cst.Call):
        keywords = [arg for arg in call.args if arg.keyword is not None]
        names = {arg.keyword.value for arg in keywords if arg.keyword is not None}
        if OLD_INTERFACE not in names or INTERFACE in names:
            continue
        if _takes_interface(source, call.func, derived):
            for arg in keywords:
                if arg.keyword is not None and arg.keyword.value == OLD_INTERFACE:
                    edits.add(arg.keyword, lambda node: node.with_changes(value=INTERFACE))


def is_class(source: Source, node: cst.CSTNode) -> bool:
    """Whether an expression surely is torch's class, or ours."""
    meanings = source.meanings(node)
    return bool(meanings) and meanings <= CLASSES | {OUR_CLASS}


def _is_derived(source: Source, base: cst.CSTNode, derived: Collection[cst.CSTNode]) -> bool:
    """Whether a base is the class, or one that this file derives from it."""
    if is_class(source, base):
        return True
    if not isinstance(base, cst.Name):
        return False
    clients = source.clients(base.value, source.scope(base))
    return bool(clients) and all(getattr(b, "node", None) in derived for b in clients)


def _takes_interface(
    source: Source, function: cst.BaseExpression, derived: Collection[cst.CSTNode]
) -> bool:
    if is_class(source, function):
        return True
    if not isinstance(function, cst.Attribute):
        return False
    owner = function.value
    if function.attr.value == "init_from_module_rref":
        return _is_derived(source, owner, derived)
    if function.attr.value != "__init__":
        return False
    if isinstance(owner, cst.Call) and isinstance(owner.func, cst.Name):
        return owner.func.value == "super" and _class_around(source, function) in derived
    return is_class(source, owner)


def _class_around(source: Source, node: cst.CSTNode) -> cst.CSTNode | None:
    around = source.parent(node)
    while around is not None and not isinstance(around, cst.ClassDef):
        around = source.parent(around)
    return around
