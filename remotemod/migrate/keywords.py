"""Rename the keyword ``_module_interface_cls`` where it surely goes to a remote module."""

from __future__ import annotations

import libcst as cst

from remotemod.migrate.ancestor import CLASSES, INTERFACE, OLD_INTERFACE, OUR_CLASS
from remotemod.migrate.source import Step

__all__ = ["RenameKeywords", "is_class"]


class RenameKeywords(Step):
    """Rename the keyword in calls of the class, of its makers, and of its constructor by subclasses."""

    def plan(self) -> None:
        """Find the subclasses of the file, then the calls."""
        self._derived: set[cst.CSTNode] = set()
        for node in self.all(cst.ClassDef):
            if node.bases and self._is_derived(node.bases[0].value):
                self._derived.add(node)
        for call in self.all(cst.Call):
            keywords = {arg.keyword.value: arg.keyword for arg in call.args if arg.keyword}
            is_old = OLD_INTERFACE in keywords and INTERFACE not in keywords
            if is_old and self._takes_interface(call.func):
                old = keywords[OLD_INTERFACE]
                self.edit(old, lambda node: node.with_changes(value=INTERFACE))

    def _is_derived(self, base: cst.CSTNode) -> bool:
        """Whether a base is the class, or one that this file derives from it."""
        if is_class(self, base) or not isinstance(base, cst.Name):
            return is_class(self, base)
        bindings = self.bindings(base.value, self.scope(base))
        return bool(bindings) and all(getattr(b, "node", None) in self._derived for b in bindings)

    def _takes_interface(self, function: cst.BaseExpression) -> bool:
        if is_class(self, function) or not isinstance(function, cst.Attribute):
            return is_class(self, function)
        owner = function.value
        if function.attr.value == "init_from_module_rref":
            return self._is_derived(owner)
        if function.attr.value == "__init__" and isinstance(owner, cst.Call):
            is_super = isinstance(owner.func, cst.Name) and owner.func.value == "super"
            return is_super and self.around(function, cst.ClassDef) in self._derived
        return function.attr.value == "__init__" and is_class(self, owner)


def is_class(step: Step, node: cst.CSTNode) -> bool:
    """Whether an expression surely is torch's class, or ours."""
    meanings = step.meanings(node)
    return bool(meanings) and meanings <= CLASSES | {OUR_CLASS}
