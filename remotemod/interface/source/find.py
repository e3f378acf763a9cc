"""Find the classes of a source file: one by its name, or all that the file defines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from remotemod.errors import InterfaceError
from remotemod.hints import did_you_mean
from remotemod.interface.locate import Location
from remotemod.interface.source.program import Program
from remotemod.interface.source.scopes import ClassDef, FunctionDef, Named, Scope, dereference
from remotemod.interface.source.syntax import Class, Function

__all__ = ["classes_in", "find_class", "open_module"]


def open_module(location: Location, program: Program | None) -> Scope:
    """Return the scope of a module, read as a part of a program or of one of its own.

    Raises:
        InterfaceError: the file cannot be read or parsed.
    """
    program = program or Program((location.root,))
    source = program.add(location.module, location.file)
    return Scope(program, source, source.names)


def classes_in(scope: Scope) -> Iterator[ClassDef]:
    """Yield the classes that a module defines itself, and those in them."""
    for name in scope.names.table:
        found = scope.own(name)
        if isinstance(found, ClassDef) and found.scope.names is scope.names:
            yield found
            yield from classes_in(found.body)


def find_class(scope: Scope, qualname: str) -> ClassDef:
    """Find a class by its qualified name, or one in functions by its name alone where there is only one.

    Raises:
        InterfaceError: there is none, or it is no class.
    """
    found: object = scope
    part = qualname
    for part in qualname.split("."):
        if part == "<locals>" and isinstance(found, FunctionDef):
            continue
        found = dereference(scope.own(part))
        if isinstance(found, ClassDef | FunctionDef):
            scope = found.body
        else:
            break
    if isinstance(found, ClassDef):
        return found
    if found is None and "." not in qualname:
        nested = [cls for cls in _local_classes(scope) if cls.node.name == qualname]
        if len(nested) == 1:
            return nested[0]
    if found is None:
        _not_found(scope, qualname, part)
    line = found.node.line if isinstance(found, FunctionDef) else None
    what = "a function" if isinstance(found, FunctionDef) else "no class that source can show"
    if isinstance(found, Named):
        what = f"{found.symbol}, which has no Python source"
    raise InterfaceError(
        f"{qualname} is {what}",
        how="name a class, or read the live object: remotemod.read_interface(the_object)",
        file=str(scope.source.file),
        line=line,
    )


def _not_found(scope: Scope, qualname: str, missing: str) -> NoReturn:
    raise InterfaceError(
        f"there is no class {qualname} in {scope.module}",
        how=did_you_mean(missing, scope.names.table) or "check the name",
        file=str(scope.source.file),
    )


def _local_classes(scope: Scope) -> Iterator[ClassDef]:
    for bindings in scope.names.table.values():
        for binding in bindings:
            if isinstance(binding, Function):
                yield from _local_classes(FunctionDef(scope, binding).body)
            elif isinstance(binding, Class):
                cls = ClassDef(scope, binding)
                yield cls
                yield from _local_classes(cls.body)
