"""Describe a stub's operators in plain data, so that another process can define them without running the stub."""

from __future__ import annotations

import inspect

from remotemod.archive.manifest import SavedInterface, SavedMethod
from remotemod.errors import InterfaceError
from remotemod.interface.types import OtherType, Type
from remotemod.stub.loader import LoadedStub
from remotemod.stub.packing import keyword_names

__all__ = ["describe"]


def describe(stub: LoadedStub, where: str) -> SavedInterface:
    """The entry of a stub in an archive.

    Args:
        stub: a scripted one.
        where: the submodule that has it, for messages.

    Raises:
        InterfaceError: a method has values of the user's own classes, which no other process could make, or a name
            that torch cannot read from an archive.
    """
    for method, schema in stub.schemas.items():
        what = f"{stub.declaration.interface}.{method}"
        names = list(inspect.signature(stub.cls.__dict__[method]).parameters)[1:]
        for name, (_, tree) in zip(names, schema.arguments, strict=True):
            if not name.isascii():
                raise InterfaceError(
                    f"{what}: '{name}' of {where} is not ASCII, and torch cannot read such names in an archive",
                    how="rename the argument in the interface",
                )
            _refuse_classes(tree, f"{what}: '{name}'", where)
        _refuse_classes(schema.result, f"{what}: the result", where)
    methods = tuple(
        SavedMethod(o.method, o.arguments, o.result, keyword_names(stub.cls.__dict__[o.method]))
        for o in stub.contents.operators
    )
    classes = {name: (c.__module__, c.__qualname__) for name, c in stub.contents.classes.items()}
    file = f"remotemod/stubs/{stub.digest}.py"
    declared = stub.declaration
    return SavedInterface(
        declared.digest, declared.interface, file, methods, classes, dict(stub.contents.fields)
    )


def _refuse_classes(tree: Type, what: str, where: str) -> None:
    for node in tree.walk():
        if isinstance(node, OtherType):
            raise InterfaceError(
                f"{what} of {where} is of the class {node}, and a process without your code has no such class",
                how="pass numbers, text or a NamedTuple instead of it, or script the model where it runs",
            )
