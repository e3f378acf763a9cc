"""Real data without a download: which modules the files of the standard library import."""

from __future__ import annotations

import ast
import importlib.util
import random
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
"""Folders with files that are not users: installed packages, and tests, which many systems do not install."""

LEAST_FILES = 5
"""A module that fewer files import is not an item; a model could not learn when to recommend it."""

LEAST_IMPORTS = 3
"""A file with fewer is not a user: one import is hidden, one is the target, and at least one must remain as input."""


@dataclass(frozen=True)
class User:
    """A file: the modules that it is known to import, and the one that is hidden, all by number."""

    name: str
    known: tuple[int, ...]
    hidden: int


@dataclass(frozen=True)
class Imports:
    """The modules, the most popular first (hidden imports do not count), and the files."""

    modules: tuple[str, ...]
    users: tuple[User, ...]


def find_files(packages: Iterable[str]) -> list[tuple[str, str]]:
    """The files of the standard library and of installed packages: the path, and the path from the root.

    Raises:
        ModuleNotFoundError: a package is not installed, or is no folder of files.
    """
    roots = [(Path(sysconfig.get_paths()["stdlib"]), Path(sysconfig.get_paths()["stdlib"]))]
    for package in packages:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(
                f"there is no package {package!r} to read in this Python; name one that is installed and has a "
                "folder, such as torch",
                name=package,
            )
        folder = Path(next(iter(spec.submodule_search_locations)))
        roots.append((folder, folder.parent))
    found: dict[str, str] = {}
    for folder, root in roots:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(root)
            if SKIPPED.isdisjoint(name.parts):
                found.setdefault(name.as_posix(), str(path))
    return [(path, name) for name, path in found.items()]


def read_imports(files: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The modules that each file imports; files that do not parse are left out."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of escapes in strings
        for path, name in files:
            try:
                tree = ast.parse(Path(path).read_bytes())
            except (SyntaxError, ValueError, OSError):
                continue
            found[name] = sorted(set(_imported(tree, name.split("/")[:-1])) - {"__future__"})
    return found


def _imported(tree: ast.AST, package: list[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            if name := ".".join([*start, *([node.module] if node.module else [])]):
                yield name


def leave_one_out(imports: Mapping[str, list[str]]) -> Imports:
    """Numbers the modules and hides one import of each file, the same one in each run.

    Raises:
        ValueError: there is too little to learn from.
    """
    files = {name: imports[name] for name in sorted(imports)}  # the same for any order of replies
    counts = Counter(module for modules in files.values() for module in modules)
    split = {}
    for name, imported in files.items():
        shared = [module for module in imported if counts[module] >= LEAST_FILES]
        if len(shared) >= LEAST_IMPORTS:
            hidden = random.Random(name).choice(shared)
            split[name] = ([module for module in shared if module != hidden], hidden)
    if not split:
        raise ValueError(
            f"none of {len(files)} files imports {LEAST_IMPORTS} modules that others import as well; is this "
            "Python's standard library there as .py files? More files can be added with --packages"
        )
    items = {module for known, hidden in split.values() for module in (*known, hidden)}
    left = Counter(module for known, _ in split.values() for module in known)
    modules = tuple(sorted(items, key=lambda module: (-left[module], module)))
    number = {module: n for n, module in enumerate(modules)}
    users = [
        User(name, tuple(number[module] for module in known), number[hidden])
        for name, (known, hidden) in split.items()
    ]
    return Imports(modules, tuple(users))


@dataclass(frozen=True)
class Bags:
    """Rows of numbers of different lengths, as ``nn.EmbeddingBag`` takes them."""

    numbers: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, rows: Iterable[Iterable[int]]) -> Bags:
        lists = [list(row) for row in rows]
        lengths = torch.tensor([len(row) for row in lists])
        numbers = torch.tensor([number for row in lists for number in row], dtype=torch.long)
        return cls(numbers, lengths.cumsum(0) - lengths)

    def rows(self) -> Tensor:
        """The row of each number."""
        ends = torch.cat([self.offsets[1:], torch.tensor([len(self.numbers)])])
        return torch.repeat_interleave(torch.arange(len(self.offsets)), ends - self.offsets)
