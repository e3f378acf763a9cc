"""Count what makes a source tree hard to live in: ``python scripts/house.py [CHECKOUT]``.

* Imports of the package's own modules: at module level ("top"), below ``if TYPE_CHECKING`` ("type"), in a function ("late").
* Private attributes across modules: ``x._name``, ``x`` not ``self`` or ``cls``, and ``from m import _name``, the name bound
  (def, class, assignment, slot) in another file of the package and not in this one; named tuples' methods left out.
* Mutable objects: bound at module level, or in a class there, and changed while the process runs. Locks, thread-locals,
  counters, weak containers, context variables; cached functions; names rebound by ``global``; instances of the package's
  classes, but for frozen dataclasses, named tuples and enums; containers that are empty, or changed where the name is
  used. Not seen: what functions return, changes through another name. Tables that nothing changes do not count.
"""

from __future__ import annotations

import ast
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

__all__ = ["cycles", "imports", "modules", "mutable_objects", "private_uses"]

Import = tuple[str, str, int]  # the imported module; "top", "type" or "late"; the line
Statement = ast.Import | ast.ImportFrom
# fmt: off
MUTABLE = {"Lock", "RLock", "Condition", "Event", "Semaphore", "local", "count", "ContextVar", "WeakKeyDictionary", "WeakValueDictionary", "WeakSet"}
CONTAINERS = {"list", "dict", "set", "defaultdict", "deque", "OrderedDict", "Counter"}
CHANGES = {"append", "extend", "insert", "remove", "pop", "popitem", "popleft", "clear", "update", "setdefault", "add", "discard", "sort"}
NAMED_TUPLE = {
    "_replace",
    "_asdict",
    "_fields",
    "_make",
}  # public, their underscore notwithstanding
LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
FIXED = ("frozen=True", "NamedTuple", "Enum", "Protocol", "Error")  # in a class's head
# fmt: on
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
FOLDERS = {"remotemod", "cli", "templates", "tests", "benchmarks", "scripts", "docs", "examples"}


def modules(root: Path) -> dict[str, Path]:
    """The package's modules by name, those behind its links to ``cli/`` and ``templates/`` included."""
    paths = {}
    for folder, _, files in os.walk(root / "remotemod", followlinks=True):
        for path in (Path(folder, file) for file in files if file.endswith(".py")):
            parts = path.relative_to(root).with_suffix("").parts
            paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return dict(sorted(paths.items()))


def imports(modules: Mapping[str, Path]) -> dict[str, list[Import]]:
    """What each module imports of the others: ``(imported, kind, line)``."""
    graph: dict[str, list[Import]] = {name: [] for name in modules}
    for name, path in modules.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        for node, kind in _statements(ast.parse(path.read_text()), "top"):
            targets = dict.fromkeys(_targets(node, package, modules))
            graph[name] += [(target, kind, node.lineno) for target in targets if target != name]
    return graph


def cycles(graph: Mapping[str, list[Import]], kinds: Collection[str]) -> list[list[str]]:
    """Groups of modules that import each other by imports of these kinds, the largest first."""
    reached = {name: {m for m, kind, _ in found if kind in kinds} for name, found in graph.items()}
    for middle in graph:
        for targets in reached.values():
            targets |= reached[middle] if middle in targets else set()
    groups = {
        tuple(other for other in graph if other in targets and name in reached[other])
        for name, targets in reached.items()
        if name in targets
    }
    return sorted(map(list, groups), key=lambda group: (-len(group), group))


def private_uses(modules: Mapping[str, Path]) -> list[str]:
    """Uses of other modules' private names, as ``file:line name``."""
    trees = {path: ast.parse(path.read_text()) for path in modules.values()}
    bound = {path: set(_bound(tree)) for path, tree in trees.items()}
    uses: list[tuple[Path, int, str]] = []
    for path, node in ((path, node) for path, tree in trees.items() for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and _last(node.value) not in ("self", "cls"):
            uses.append((path, node.lineno, node.attr))
        elif isinstance(node, ast.ImportFrom):
            uses.extend((path, node.lineno, alias.name) for alias in node.names)
    everywhere = set().union(*bound.values())
    uses = [use for use in uses if use[2] in everywhere - bound[use[0]] - NAMED_TUPLE]
    return [f"{path}:{line} {name}" for path, line, name in uses if name[0] == "_" != name[1:2]]


def mutable_objects(modules: Mapping[str, Path]) -> list[str]:
    """Objects of module level that change, as ``file:line name``, by the definition on top."""
    trees = {path: ast.parse(path.read_text()) for path in modules.values()}
    changed = {name for tree in trees.values() for name in _changed(tree) if name[:1] != "_"}
    classes = [n for tree in trees.values() for n in tree.body if isinstance(n, ast.ClassDef)]
    heads = {c.name: " ".join(map(ast.unparse, [*c.bases, *c.decorator_list])) for c in classes}
    made_by = MUTABLE | {name for name, head in heads.items() if not any(f in head for f in FIXED)}
    objects: list[str] = []
    for path, tree in trees.items():
        here = set(_changed(tree))
        inner = [n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body]
        inner = [n for n in inner if type(n) is not ast.AnnAssign or "ClassVar" in ast.dump(n)]
        for node in [*tree.body, *inner]:
            name = ""
            if isinstance(node, ast.FunctionDef):
                is_cached = {"cache", "lru_cache"} & {_last(d) for d in node.decorator_list}
                name = node.name if is_cached else ""
            elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                target = _last(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                made = _last(node.value) if isinstance(node.value, ast.Call) else ""
                is_empty = ast.unparse(node.value).endswith(("[]", "{}", "()"))
                is_container = made in CONTAINERS or isinstance(node.value, LITERALS)
                is_changing = is_container and (is_empty or target in changed)
                name = target if made in made_by or target in here or is_changing else ""
            objects += [f"{path}:{node.lineno} {name}"] if name else []
    return objects


def _last(node: ast.AST | None) -> str:
    """The last part of a dotted name, also of one called or subscripted; empty for anything else."""
    node = node.func if isinstance(node, ast.Call) else node
    node = node.value if isinstance(node, ast.Subscript) else node
    return str(getattr(node, "id", "") or getattr(node, "attr", ""))


def _statements(node: ast.AST, kind: str) -> Iterator[tuple[Statement, str]]:
    inner = "late" if isinstance(node, FUNCTIONS) and kind == "top" else kind
    typed = node.body if isinstance(node, ast.If) and _last(node.test) == "TYPE_CHECKING" else []
    for child in ast.iter_child_nodes(node):
        child_kind = "type" if child in typed else inner
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, child_kind
        else:
            yield from _statements(child, child_kind)


def _targets(node: Statement, package: str, known: Collection[str]) -> Iterator[str]:
    base = (getattr(node, "module", "") or "").split(".")
    if level := getattr(node, "level", 0):  # relative to the package, or to one above it
        base = package.split(".")[: 1 - level or None] + base
    for alias in node.names:
        names = [".".join(filter(None, parts)) for parts in ([*base, alias.name], base)]
        yield from [name for name in names if name in known][:1]


def _bound(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        is_stored = isinstance(getattr(node, "ctx", None), ast.Store)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and is_stored:
            yield node.id
        elif isinstance(node, ast.Attribute) and is_stored and _last(node.value) in ("self", "cls"):
            yield node.attr
        elif isinstance(node, ast.Assign) and _last(node.targets[0]) == "__slots__":
            yield from (str(c.value) for c in ast.walk(node.value) if isinstance(c, ast.Constant))


def _changed(tree: ast.AST) -> Iterator[str]:
    """The names that a file rebinds or whose object it changes in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        elif (isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)) or (
            isinstance(node, ast.Attribute) and node.attr in CHANGES
        ):
            yield _last(node.value)


def _report(root: Path) -> None:
    known = modules(root)
    graph = imports(known)
    lines: Counter[str] = Counter()
    long = []
    for folder, _, files in os.walk(root):  # follows no link: cli/ and templates/ count once
        parts = Path(folder).relative_to(root).parts
        if parts and parts[0] in FOLDERS and "golden" not in parts:
            for path in (Path(folder, file) for file in files):
                if path.suffix in {".py", ".jinja", ".md", ".sh"}:
                    count = len(path.read_text().splitlines())
                    lines["/".join(parts[: 2 if parts[0] == "remotemod" else 1])] += count
                    long += [f"{path}:{count}"] if path.suffix == ".py" and count > 300 else []
    print(*(f"{count:7} {name}" for name, count in sorted(lines.items())), sep="\n")
    flat = [(known[name], found) for name in graph for found in graph[name]]
    for title, items in {
        "files over 300 lines": long,
        "cycles at module level": map(" ".join, cycles(graph, ["top"])),
        "cycles with type imports": map(" ".join, cycles(graph, ["top", "type"])),
        "cycles with late imports too": map(" ".join, cycles(graph, ["top", "type", "late"])),
        "late imports": (f"{path}:{line} {m}" for path, (m, kind, line) in flat if kind == "late"),
        "private attributes across modules": private_uses(known),
        "mutable objects at module level": mutable_objects(known),
    }.items():
        shown = [item.replace(f"{root}{os.sep}", "") for item in items]
        print(f"\n{len(shown)} {title}", *(f"  {item}" for item in shown), sep="\n")


if __name__ == "__main__":
    _report(Path(sys.argv[1] if len(sys.argv) > 1 else ".").absolute())
