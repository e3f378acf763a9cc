"""Lay generated code out like the common formatters, so that stubs are stable under them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WIDTH", "Group", "Node", "Seq", "explode", "flat", "lay", "statement"]

WIDTH = 88
"""Columns before a line is broken: the default of black and ruff; a wider setting keeps our breaks."""


@dataclass(frozen=True, slots=True)
class Group:
    """``open item, item close``: stays on one line, or puts each item on a line of its own.

    ``comma``: whether a broken group ends in a comma (it must not after ``**kwargs: T`` of old, nor
    after the only item of a subscript, where it would make a tuple).
    """

    open: str
    items: tuple[Node, ...]
    close: str
    comma: bool = True
    lone_comma: bool = False


@dataclass(frozen=True, slots=True)
class Seq:
    """Pieces that stand side by side on one line."""

    parts: tuple[Node, ...]


Node = str | Group | Seq


def flat(node: Node) -> str:
    """``node`` on one line."""
    if isinstance(node, str):
        return node
    if isinstance(node, Seq):
        return "".join(map(flat, node.parts))
    inner = ", ".join(map(flat, node.items))
    if node.lone_comma and len(node.items) == 1:
        inner += ","
    return f"{node.open}{inner}{node.close}"


def lay(node: Node, indent: int = 0, before: int = 0, after: int = 0) -> str:
    """``node`` broken into lines that fit, as far as they can be made to.

    Args:
        node: the code to lay out.
        indent: the spaces in front of the line that the node begins on.
        before: how many columns of that line are taken already (indent not counted).
        after: how many columns must stay free behind the node's last line.
    """
    line = flat(node)
    if isinstance(node, str) or indent + before + len(line) + after <= WIDTH:
        return line
    if isinstance(node, Group):
        return _break(node, indent) if node.items else line
    # The last bracket gives way first, as in every formatter that splits from the right.
    for index in range(len(node.parts) - 1, -1, -1):
        part = node.parts[index]
        if isinstance(part, str) or not flat(part).strip("()[]{}"):
            continue
        head = "".join(map(flat, node.parts[:index]))
        tail = "".join(map(flat, node.parts[index + 1 :]))
        return head + lay(part, indent, before + len(head), after + len(tail)) + tail
    return line


def _break(group: Group, indent: int) -> str:
    """A call or a definition with all items on the next line where they fit, else each on a line of its own."""
    inner = ", ".join(map(flat, group.items))
    is_call = group.open.endswith("(") and len(group.open) > 1
    if is_call and indent + 4 + len(inner) <= WIDTH:
        return f"{group.open}\n{' ' * (indent + 4)}{inner}\n{' ' * indent}{group.close}"
    return explode(group, indent)


def explode(group: Group, indent: int) -> str:
    """``group`` with each item on a line of its own, whatever the width."""
    pad = " " * (indent + 4)
    comma = "," if group.comma else ""
    last = len(group.items) - 1
    lines = []
    for index, item in enumerate(group.items):
        end = comma if index == last else ","
        lines.append(pad + lay(item, indent + 4, 0, 1) + end)
    return "\n".join([group.open, *lines, " " * indent + group.close])


def statement(node: Node, indent: int) -> str:
    """``node`` as a statement; where no line break of ours helps, formatters are told to leave it."""
    text = lay(node, indent)
    first, *rest = text.split("\n")
    if indent + len(first) > WIDTH or any(len(line) > WIDTH for line in rest):
        text += "  # fmt: skip"
    return text
