"""Finds what no rewriting can move over, and says what to do instead."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from remotemod.migrate.ancestor import (
    CLASSES,
    MODULES,
    PRIVATE_ATTRIBUTES,
    PRIVATE_CLASS,
    PUBLIC_CLASS,
    is_private,
)
from remotemod.migrate.keywords import is_class
from remotemod.migrate.model import Remark
from remotemod.migrate.source import Source, absolute_module, absolute_name, dotted

__all__ = ["find_remarks"]

_QUOTED = re.compile(r"[A-Za-z_][\w.]*\._?RemoteModule\b")


def find_remarks(source: Source) -> tuple[Remark, ...]:
    """All remarks on a file, by line."""
    finders = (_imports, _private_uses, _unsure_uses, _attributes, _strings, _by_name, _copies)
    return tuple(sorted({remark for finder in finders for remark in finder(source)}))


def _remark(source: Source, node: cst.CSTNode, what: str, how: str) -> Remark:
    return Remark(source.line(node), what, how)


def _private(source: Source, node: cst.CSTNode, name: str) -> Remark:
    what = f"`{name}` is a part of torch's RemoteModule that remotemod does not have"
    return _remark(source, node, what, "drop what depends on it; see docs/migrating.md")


def _imports(source: Source) -> Iterator[Remark]:
    for statement in source.import_statements():
        if isinstance(statement.names, cst.ImportStar):
            module = absolute_module(statement)
            if module in MODULES:
                what = f"`from {module} import *` brings torch's RemoteModule"
                how = "import what is used by name and run this again"
                yield _remark(source, statement, what, how)
            continue
        for alias in statement.names:
            name = absolute_name(statement, alias)
            if is_private(name):
                yield _private(source, alias, name)


def _private_uses(source: Source) -> Iterator[Remark]:
    """Uses through a module; what is imported by name is said at the import."""
    for node in source.all(cst.Attribute):
        private = {name for name in source.meanings(node) if is_private(name)}
        if private and not any(is_private(name) for name in source.meanings(node.value)):
            yield _private(source, node, min(private))


def _unsure_uses(source: Source) -> Iterator[Remark]:
    for node in source.all(cst.Attribute):
        meanings = source.meanings(node)
        if meanings & CLASSES and not meanings <= CLASSES:
            what = (
                f"`{dotted(node)}` is torch's RemoteModule in some cases only, and was left alone"
            )
            yield _remark(source, node, what, "use remotemod.RemoteModule where it is meant")


def _attributes(source: Source) -> Iterator[Remark]:
    # The other names are common enough to mean something else in a file without the class.
    names = PRIVATE_ATTRIBUTES if PUBLIC_CLASS in source.text else {"generated_methods"}
    for node in source.all(cst.Attribute):
        name = node.attr.value
        if name in names:
            what = f"`.{name}` is an attribute of torch's remote modules alone"
            how = "ask inspect.signature, or remotemod.read_interface, which methods there are"
            if name != "generated_methods":
                how = "drop it; remotemod generates its methods when the module is built"
            yield _remark(source, node, what, how)


def _strings(source: Source) -> Iterator[Remark]:
    """Names in quotes: targets of mock.patch, and annotations."""
    for node in source.all(cst.SimpleString):
        value = node.evaluated_value
        if not isinstance(value, str) or "\n" in value:
            continue
        scope = source.scope(node)
        quoted = {value} & CLASSES
        if not quoted and _stands_for_code(source, node):
            found = _QUOTED.findall(value)
            quoted = {name for name in found if source.meanings_of(name, scope) & CLASSES}
        for name in quoted:
            what = f'"{name}" names torch\'s RemoteModule in a string, and was left alone'
            yield _remark(source, node, what, "write remotemod.RemoteModule there if it is meant")


def _by_name(source: Source) -> Iterator[Remark]:
    """``getattr(module, "RemoteModule")``, ``mock.patch.object(module, "RemoteModule")``."""
    for call in source.all(cst.Call):
        values = [arg.value for arg in call.args]
        texts = {v.evaluated_value for v in values if isinstance(v, cst.SimpleString)}
        asked = {PUBLIC_CLASS, PRIVATE_CLASS} & texts
        if asked and any(source.meanings(value) & MODULES for value in values):
            what = f'"{min(asked)}" is looked up in torch\'s module by its name, and was left alone'
            yield _remark(source, call, what, "look it up in remotemod if ours is meant")


def _stands_for_code(source: Source, node: cst.CSTNode) -> bool:
    around: cst.CSTNode | None = node
    while around is not None and not isinstance(around, (cst.BaseStatement, cst.Annotation)):
        around = source.parent(around)
    return isinstance(around, cst.Annotation)


def _copies(source: Source) -> Iterator[Remark]:
    """``train()`` and ``eval()`` whose result is used: torch's send a copy of the module back."""
    held: set[object] = set()
    made = [(a.value, [t.target for t in a.targets]) for a in source.all(cst.Assign)]
    made += [(a.value, [a.target]) for a in source.all(cst.AnnAssign) if a.value is not None]
    for value, targets in made:
        if isinstance(value, cst.Call) and is_class(source, value.func):
            held |= {key for target in targets for key in _keys(source, target)}
    for call in source.all(cst.Call):
        function = call.func
        if not isinstance(function, cst.Attribute) or function.attr.value not in ("train", "eval"):
            continue
        owner = function.value
        made_here = isinstance(owner, cst.Call) and is_class(source, owner.func)
        used = not isinstance(source.parent(call), cst.Expr)
        if used and (made_here or _keys(source, owner) & held):
            what = f"the result of `{function.attr.value}()` is the remote module itself, not a local copy of it"
            how = "fetch state_dict() where a copy is wanted"
            yield _remark(source, call, what, how)


def _keys(source: Source, node: cst.CSTNode) -> set[object]:
    """What tells a variable from others: its bindings, or for an attribute its text."""
    if isinstance(node, cst.Name):
        return set(source.clients(node.value, source.scope(node)))
    name = dotted(node)
    return set() if name is None else {name}
