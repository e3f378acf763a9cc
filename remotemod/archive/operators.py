"""Define the operators by which an archive's code calls its remote submodules."""

from __future__ import annotations

from remotemod.archive.manifest import Manifest, SavedInterface
from remotemod.errors import ArchiveError, ProtocolError
from remotemod.handles.directory import DIRECTORY
from remotemod.interface.types import NamedTupleType, Symbol, Type
from remotemod.stub.declaration import Declaration
from remotemod.stub.operators import DispatcherMethod, define_operators
from remotemod.stub.schema import MethodSchema, SchemaReader
from remotemod.wire.placeholders import named_tuple_class

__all__ = ["define_for"]


def define_for(manifest: Manifest) -> None:
    """Define the operators that an archive calls and this process has not yet.

    Raises:
        ArchiveError: the manifest is damaged.
    """
    for interface in manifest.interfaces:
        try:
            operators = _operators(interface)
        except (ValueError, TypeError, ProtocolError) as error:
            raise ArchiveError(
                f"what the archive says of {interface.source} is damaged: {error!r}; export the model again"
            ) from error
        methods = tuple(method.name for method in interface.methods)
        declaration = Declaration(
            manifest.abi, interface.source, interface.digest, methods, "scripted"
        )
        define_operators(declaration, operators, DIRECTORY)


def _operators(interface: SavedInterface) -> list[DispatcherMethod]:
    symbols = {name: Symbol(*place) for name, place in interface.classes.items()}
    reader = SchemaReader(symbols, interface.fields)
    methods = []
    for method in interface.methods:
        schema = MethodSchema(reader.arguments(method.arguments), reader.type(method.result))
        _make_placeholders(schema.result)  # results name these classes
        methods.append(DispatcherMethod.of(method.name, schema, method.keywords, _class_of))
    return methods


def _make_placeholders(tree: Type) -> None:
    for node in tree.walk():
        if isinstance(node, NamedTupleType):
            _class_of(node)


def _class_of(tree: NamedTupleType) -> type:
    # The class is looked up anew each time: the user's own code may be imported later.
    fields = tuple(name for name, _ in tree.fields)
    return named_tuple_class(tree.symbol.module, tree.symbol.qualname, fields)
