"""Draw the rooms of the package and their imports into docs/architecture.md: ``python scripts/picture.py``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from house import Import, imports, modules

__all__ = ["PAGE", "picture"]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"

GROUND = "ground"
"""The files that stand in no room and that every room may use."""

FRONT = "front"
"""What users enter by: the public names, the program, and what is told to torch."""

_OF_FRONT = {"remotemod", "remotemod.__main__", "remotemod.torch_hooks", "remotemod.abi"}
_BLOCK = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def picture(graph: Mapping[str, list[Import]]) -> str:
    """The rooms as a mermaid chart: an arrow leads from a room to each that it imports, where no longer way does.

    Args:
        graph: what each module imports, as ``house.imports`` tells it; all kinds count.
    """
    rooms = {name for name in graph if name.count(".") == 1 and _has_files(name, graph)}
    below: dict[str, set[str]] = {}
    for module, edges in graph.items():
        targets = {_room(imported, rooms) for imported, _, _ in edges}
        below.setdefault(_room(module, rooms), set()).update(targets)
    for room, targets in below.items():
        targets.discard(room)
    below = {room: {t for t in targets if t != FRONT} for room, targets in below.items()}
    reached = {room: _reach(room, below) for room in below}
    lines = ["```mermaid", "flowchart TD"]
    for room in sorted(below, key=lambda room: (-len(reached[room]), room)):
        further = set().union(*(reached[target] for target in below[room]))
        lines += [f"    {room} --> {target}" for target in sorted(below[room] - further)]
    return "\n".join([*lines, "```", ""])


def _has_files(name: str, graph: Mapping[str, list[Import]]) -> bool:
    return any(module.startswith(f"{name}.") for module in graph)


def _room(module: str, rooms: set[str]) -> str:
    top = ".".join(module.split(".")[:2])
    if top in rooms:
        return top.partition(".")[2]
    return FRONT if module in _OF_FRONT else GROUND


def _reach(room: str, below: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    left = list(below.get(room, ()))
    while left:
        target = left.pop()
        if target not in reached:
            reached.add(target)
            left += below.get(target, ())
    return reached


if __name__ == "__main__":
    drawn = picture(imports(modules(ROOT)))
    PAGE.write_text(_BLOCK.sub(lambda _: drawn, PAGE.read_text(), count=1))
