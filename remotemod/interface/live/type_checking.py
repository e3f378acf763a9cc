"""Find what a live module imports under ``if TYPE_CHECKING``: its annotations name it, its globals lack it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from types import ModuleType

from remotemod.interface.types import Symbol
from remotemod.process import cached

__all__ = ["checked_imports"]


def checked_imports(module: ModuleType) -> dict[str, object]:
    """The names a type checker sees in ``module``: the object where it is loaded, else a Symbol."""
    return {alias: _loaded(source, name) for alias, (source, name) in _imports(module).items()}


def _loaded(source: str, name: str | None) -> object:
    module = sys.modules.get(source)
    if name is None:
        return module
    missing = Symbol(source, name)
    return getattr(module, name, missing) if module is not None else missing


@cached(maxsize=512)
def _imports(module: ModuleType) -> dict[str, tuple[str, str | None]]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    found: dict[str, tuple[str, str | None]] = {}
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.body:
                found.update(_bound(statement, module.__package__ or ""))
    return found


def _bound(statement: ast.stmt, package: str) -> dict[str, tuple[str, str | None]]:
    match statement:
        case ast.Import(names=aliases):
            paths = [(a.asname, a.name if a.asname else a.name.split(".")[0]) for a in aliases]
            return {bound or path: (path, None) for bound, path in paths}
        case ast.ImportFrom(module=module, names=aliases, level=level):
            source = "." * level + (module or "")
            try:
                source = importlib.util.resolve_name(source, package)
            except ImportError:
                return {}
            return {a.asname or a.name: (source, a.name) for a in aliases}
    return {}
