"""Find what no rewriting can move over, and say what to do instead."""

from __future__ import annotations

import re

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
from remotemod.migrate.source import Step, absolute_module, absolute_name, dotted

__all__ = ["FindRemarks"]

_QUOTED = re.compile(r"[A-Za-z_][\w.]*\._?RemoteModule\b")


class FindRemarks(Step):
    """Note what a person must look at in the old text; edit nothing.

    Attributes:
        remarks: what was found, by line.
    """

    def plan(self) -> None:
        """Look for each kind."""
        self._remarks: set[Remark] = set()
        self._look_at_imports()
        self._look_at_attributes()
        self._look_at_strings()
        self._look_at_lookups()
        self._look_at_copies()
        self.remarks = tuple(sorted(self._remarks))

    def _note(self, node: cst.CSTNode, what: str, how: str) -> None:
        self._remarks.add(Remark(self.number(node), what, how))

    def _note_private(self, node: cst.CSTNode, name: str) -> None:
        what = f"`{name}` is a part of torch's RemoteModule that remotemod does not have"
        self._note(node, what, "drop what depends on it; see docs/migrating.md")

    def _look_at_imports(self) -> None:
        for statement in self.imports():
            if isinstance(statement.names, cst.ImportStar):
                module = absolute_module(statement)
                if module in MODULES:
                    what = f"`from {module} import *` brings torch's RemoteModule"
                    self._note(statement, what, "import what is used by name and run this again")
                continue
            for alias in statement.names:
                name = absolute_name(statement, alias)
                if is_private(name):
                    self._note_private(alias, name)

    def _look_at_attributes(self) -> None:
        # But for the first, the names are common enough to mean something else in a file without the class.
        telling = {"generated_methods"}
        telling |= PRIVATE_ATTRIBUTES if PUBLIC_CLASS in self.module.code else set()
        for node in self.all(cst.Attribute):
            meanings = self.meanings(node)
            private = {name for name in meanings if is_private(name)}
            # What is imported by name is noted at the import.
            if private and not any(map(is_private, self.meanings(node.value))):
                self._note_private(node, min(private))
            if meanings & CLASSES and not meanings <= CLASSES:
                what = f"`{dotted(node)}` is torch's RemoteModule in some cases only, and was left alone"
                self._note(node, what, "use remotemod.RemoteModule where it is meant")
            name = node.attr.value
            if name in telling:
                how = "drop it; remotemod generates its methods when the module is built"
                if name == "generated_methods":
                    how = "ask inspect.signature, or remotemod.read_interface, which methods there are"
                self._note(node, f"`.{name}` is an attribute of torch's remote modules alone", how)

    def _look_at_strings(self) -> None:
        """Names in quotes: targets of mock.patch, and annotations."""
        for node in self.all(cst.SimpleString):
            value = node.evaluated_value
            if not isinstance(value, str) or "\n" in value:
                continue
            quoted = {value} & CLASSES
            around = self.around(node, cst.BaseStatement, cst.Annotation)
            if not quoted and isinstance(around, cst.Annotation):
                names, scope = _QUOTED.findall(value), self.scope(node)
                quoted = {name for name in names if self.meanings_of(name, scope) & CLASSES}
            for name in quoted:
                what = f'"{name}" names torch\'s RemoteModule in a string, and was left alone'
                self._note(node, what, "write remotemod.RemoteModule there if it is meant")

    def _look_at_lookups(self) -> None:
        """``getattr(module, "RemoteModule")``, ``mock.patch.object(module, "RemoteModule")``."""
        for call in self.all(cst.Call):
            values = [arg.value for arg in call.args]
            texts = {v.evaluated_value for v in values if isinstance(v, cst.SimpleString)}
            names = {PUBLIC_CLASS, PRIVATE_CLASS} & texts
            if names and any(self.meanings(value) & MODULES for value in values):
                what = f'"{min(names)}" is looked up in torch\'s module by its name, and was left alone'
                self._note(call, what, "look it up in remotemod if ours is meant")

    def _look_at_copies(self) -> None:
        """``train()`` and ``eval()`` whose result is used: torch's send a copy of the module back."""
        remote: set[object] = set()
        assigned = [(t.target, node.value) for node in self.all(cst.Assign) for t in node.targets]
        annotated = [(node.target, node.value) for node in self.all(cst.AnnAssign)]
        for target, value in [*assigned, *annotated]:
            if isinstance(value, cst.Call) and is_class(self, value.func):
                remote |= self._variable(target)
        for call in self.all(cst.Call):
            function = call.func
            if not isinstance(function, cst.Attribute) or isinstance(self.parent(call), cst.Expr):
                continue
            owner, name = function.value, function.attr.value
            is_remote = isinstance(owner, cst.Call) and is_class(self, owner.func)
            if name in ("train", "eval") and (is_remote or self._variable(owner) & remote):
                what = (
                    f"the result of `{name}()` is the remote module itself, not a local copy of it"
                )
                self._note(call, what, "fetch state_dict() where a copy is wanted")

    def _variable(self, node: cst.CSTNode) -> set[object]:
        """What tells a variable from others: its bindings, or for an attribute its text."""
        if isinstance(node, cst.Name):
            return set(self.bindings(node.value, self.scope(node)))
        name = dotted(node)
        return set() if name is None else {name}
