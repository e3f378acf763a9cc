"""Edits of single nodes, collected first and applied in one pass; what has none stays byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

__all__ = ["Edit", "Edits"]

Edit = Callable[[Any], "cst.CSTNode | cst.RemovalSentinel | cst.FlattenSentinel[Any]"]
"""Makes, from a node whose inside is done, what stands there instead."""


class Edits:
    """What is to be done, by node of the original tree."""

    def __init__(self) -> None:
        self._edits: dict[cst.CSTNode, list[Edit]] = {}

    def __contains__(self, node: cst.CSTNode) -> bool:
        return node in self._edits

    def __bool__(self) -> bool:
        return bool(self._edits)

    def add(self, node: cst.CSTNode, edit: Edit) -> None:
        """Adds an edit; those of one node are done in the order in which they were added."""
        self._edits.setdefault(node, []).append(edit)

    def apply(self, module: cst.Module) -> cst.Module:
        """The module with all edits done."""
        return module.visit(_Applying(self._edits))


class _Applying(cst.CSTTransformer):
    def __init__(self, edits: dict[cst.CSTNode, list[Edit]]) -> None:
        super().__init__()
        self._edits = edits

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> Any:
        node: Any = updated_node
        for edit in self._edits.get(original_node, ()):
            node = edit(node)
        return node
