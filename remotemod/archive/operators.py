"""Defines the operators by which an archive's code calls its remote parts."""

from __future__ import annotations

from typing import Any

from remotemod.archive.manifest import Manifest, SavedInterface, SavedMethod
from remotemod.archive.rules import maker
from remotemod.errors import ArchiveError, ProtocolError
from remotemod.handles.directory import DIRECTORY
from remotemod.stub.declaration import Stub
from remotemod.stub.operators import Operator, define_operators
from remotemod.wire.placeholders import named_tuple_class

__all__ = ["define_for"]


def define_for(manifest: Manifest) -> None:
    """Defines what the code of an archive calls, as far as this process has it not yet.

    Raises:
        ArchiveError: the manifest is damaged.
    """
    for interface in manifest.interfaces:
        try:
            operators = tuple(_operator(interface, method) for method in interface.methods)
            for each in interface.tuples:  # results name these classes
                named_tuple_class(each.module, each.qualname, each.fields)
        except (ValueError, TypeError, IndexError, AssertionError, ProtocolError) as error:
            raise ArchiveError(
                f"what the archive says of {interface.source} is damaged: {error!r}; export the model again"
            ) from error
        methods = tuple(method.name for method in interface.methods)
        stub = Stub(manifest.abi, interface.digest, interface.source, "scripted", False, methods)
        define_operators(stub, operators, DIRECTORY)


def _operator(interface: SavedInterface, method: SavedMethod) -> Operator:
    makes = [maker(rule, interface.tuples) for rule in method.rules]
    plan = tuple(zip(makes, method.keywords, strict=True))

    def pack(*values: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for value, (make, keyword) in zip(values, plan, strict=True):
            made = value if make is None else make(value)
            if keyword:
                kwargs[keyword] = made
            else:
                args.append(made)
        return tuple(args), kwargs

    return Operator(method.name, pack, method.arguments, method.result)
