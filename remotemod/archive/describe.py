"""Says in plain data what a stub's operators do, so that another process has them without running the stub."""

from __future__ import annotations

import inspect

from remotemod.archive.manifest import SavedInterface, SavedMethod
from remotemod.archive.rules import Rules
from remotemod.errors import InterfaceError
from remotemod.interface.live.annotations import TypeReader
from remotemod.interface.types import OtherType, Type
from remotemod.stub.loader import LoadedStub
from remotemod.stub.operators import Operator

__all__ = ["describe"]


def describe(stub: LoadedStub, where: str) -> SavedInterface:
    """What an archive says of a stub.

    Args:
        stub: a scripted one.
        where: the submodule that has it, for messages.

    Raises:
        InterfaceError: a method has values of the user's own classes, which no other process could make, or a name
            that torch cannot read again.
    """
    operators: tuple[Operator, ...] = stub.module.__dict__["OPERATORS"]
    rules = Rules()
    methods = tuple(_method(stub, operator, rules, where) for operator in operators)
    declared = stub.declaration
    file = f"remotemod/stubs/{stub.digest}.py"
    return SavedInterface(declared.digest, declared.source, file, methods, rules.tuples)


def _method(stub: LoadedStub, operator: Operator, rules: Rules, where: str) -> SavedMethod:
    signature = inspect.signature(stub.cls.__dict__[operator.method])
    reader = TypeReader(stub.module.__dict__)
    _, *parameters = signature.parameters.values()
    for parameter in parameters:
        if not parameter.name.isascii():
            raise InterfaceError(
                f"{stub.declaration.source}.{operator.method}: '{parameter.name}' of {where} is not ASCII, and torch "
                "cannot read such names in an archive",
                how="rename the argument in the interface",
            )
    types = [reader.read(p.annotation) for p in parameters]
    returns = reader.read(signature.return_annotation)
    for name, tree in (
        *((f"'{p.name}'", t) for p, t in zip(parameters, types, strict=True)),
        ("the result", returns),
    ):
        _refuse_classes(tree, f"{stub.declaration.source}.{operator.method}: {name}", where)
    rules.rule(returns)  # its named tuples come back
    return SavedMethod(
        operator.method,
        operator.arguments,
        operator.result,
        tuple(map(rules.rule, types)),
        tuple(p.name if p.kind is inspect.Parameter.KEYWORD_ONLY else "" for p in parameters),
    )


def _refuse_classes(tree: Type, what: str, where: str) -> None:
    for node in tree.walk():
        if isinstance(node, OtherType) and node.symbol.module.partition(".")[0] != "torch":
            raise InterfaceError(
                f"{what} of {where} is of the class {node}, and a process without your code has no such class",
                how="pass numbers, text or a NamedTuple instead of it, or script the model where it runs",
            )
