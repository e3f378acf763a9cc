"""Choose the names of a stub, so that no generated name ever collides with a user's."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from remotemod.codegen.layout import WIDTH
from remotemod.interface.naming import fresh
from remotemod.interface.types import Symbol

__all__ = ["ABI_MODULE", "Imports"]

ABI_MODULE = "remotemod.abi"
"""The only module of remotemod that generated code may import."""


@dataclass(frozen=True, slots=True)
class _Import:
    module: str
    name: str | None  # None: the module itself
    alias: str

    def line(self) -> str:
        if self.name is None:
            whole = self.alias == self.module
            return f"import {self.module}" + ("" if whole else f" as {self.alias}")
        return f"{self.name}" + ("" if self.alias == self.name else f" as {self.alias}")


class Imports:
    """The import block of one stub, filled while its annotations and bodies are spelled.

    Args:
        users: the names of every parameter and method of the interface, which shadow what is imported.
        own: the stub's own names at the top of the file.
        exact: names that are never changed, because TorchScript or a type checker knows them by name.
    """

    def __init__(self, users: Iterable[str], own: Iterable[str], exact: Iterable[str] = ()) -> None:
        self._users = set(users).difference(exact)
        self._exact = frozenset(exact)
        self._claimed = {*own, *exact}
        self._imports: dict[tuple[str, str | None], _Import] = {}
        self._at_run_time: set[tuple[str, str | None]] = set()
        self._injected: dict[Symbol, str] = {}

    def claim(self, wanted: str) -> str:
        """A name like ``wanted`` that nothing else in the stub has."""
        if wanted.startswith("__"):  # a class body would mangle it
            wanted = "_" + wanted.lstrip("_")
        alias = fresh(wanted, self._users | self._claimed | _BUILTINS)
        self._claimed.add(alias)
        return alias

    def local(self, wanted: str, parameters: Iterable[str]) -> str:
        """A name like ``wanted`` for a variable of a function with these parameters."""
        name = fresh(wanted, {*parameters, *self._aliases(), *_BUILTINS})
        self._claimed.add(name)
        return name

    def _aliases(self) -> set[str]:
        return {i.alias for i in self._imports.values()} | set(self._injected.values())

    def _add(self, module: str, name: str | None, *, at_run_time: bool) -> str:
        key = (module, name)
        if key not in self._imports:
            wanted = name if name is not None else module
            if "." in wanted:  # ``import a.b as a_b``: one plain name for a dotted module
                wanted = wanted.replace(".", "_")
            alias = wanted if wanted in self._exact else self.claim(wanted)
            self._imports[key] = _Import(module, name, alias)
        if at_run_time:
            self._at_run_time.add(key)
        return self._imports[key].alias

    def name(self, module: str, name: str) -> str:
        """The name under which ``module.name`` is there at run time."""
        return self._add(module, name, at_run_time=True)

    def module(self, module: str) -> str:
        """The name under which ``module`` itself is there at run time."""
        return self._add(module, None, at_run_time=True)

    def builtin(self, name: str) -> str:
        """The name under which a builtin is there, whatever the names of parameters and methods."""
        return f"{self.module('builtins')}.{name}" if self.hides(name) else name

    def hides(self, builtin: str) -> bool:
        """Whether a parameter or method goes by the name of a builtin."""
        return builtin in self._users

    def abi(self, name: str) -> str:
        """The name under which ``name`` of remotemod's stub ABI is there."""
        return self.name(ABI_MODULE, name)

    def checking(self, symbol: Symbol) -> str:
        """A name that only type checkers need, so that the stub costs no import of user code."""
        top, _, rest = symbol.qualname.partition(".")
        alias = self._add(symbol.module, top, at_run_time=False)
        return f"{alias}.{rest}" if rest else alias

    def symbol(self, symbol: Symbol) -> str:
        """The name of ``symbol`` at run time: imported, or injected by the loader."""
        if symbol.module in ("", "builtins"):
            return self.builtin(symbol.qualname)
        if not symbol.importable:
            if symbol not in self._injected:
                self._injected[symbol] = self.claim(symbol.qualname.rpartition(".")[2])
            return self._injected[symbol]
        top, _, rest = symbol.qualname.partition(".")
        alias = self.name(symbol.module, top)
        return f"{alias}.{rest}" if rest else alias

    @property
    def injected(self) -> dict[str, Symbol]:
        """The names that cannot be imported: the loader must inject them."""
        return {alias: symbol for symbol, alias in self._injected.items()}

    def runtime_lines(self) -> list[list[str]]:
        """Import statements in isort's order, one list a section."""
        return _sections(i for key, i in self._imports.items() if key in self._at_run_time)

    def checking_lines(self) -> list[str]:
        """Import statements for the ``TYPE_CHECKING`` block."""
        late = (i for key, i in self._imports.items() if key not in self._at_run_time)
        return [line for section in _sections(late) for line in section]


_BUILTINS = frozenset(dir(builtins))
_STANDARD = ("typing", "collections", "enum", "pathlib", "numbers", "types", "builtins")


def _sections(imports: Iterable[_Import]) -> list[list[str]]:
    sections: dict[int, list[_Import]] = {0: [], 1: []}
    for entry in imports:
        standard = entry.module.partition(".")[0] in _STANDARD
        sections[0 if standard else 1].append(entry)
    return [_statements(group) for group in sections.values() if group]


def _statements(imports: list[_Import]) -> list[str]:
    whole = sorted((i for i in imports if i.name is None), key=lambda i: i.module)
    lines = [i.line() for i in whole]
    modules = sorted({i.module for i in imports if i.name is not None})
    for module in modules:
        names = sorted((i for i in imports if i.module == module and i.name), key=_isort_key)
        lines += _from_imports(module, [entry.line() for entry in names])
    return lines


def _from_imports(module: str, names: list[str]) -> Iterator[str]:
    """As few ``from module import …`` lines as hold the names; formatters leave such lines alone."""
    head = f"from {module} import "
    line = head + names[0]
    for name in names[1:]:
        if len(line) + len(name) + 2 > WIDTH:
            yield line
            line = head + name
        else:
            line += f", {name}"
    yield line


def _isort_key(entry: _Import) -> tuple[int, str]:
    name = entry.name or ""
    rank = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return rank, name
