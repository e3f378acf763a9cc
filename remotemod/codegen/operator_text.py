"""Work out a scripted stub's dispatcher operators: schemas, call, and the Python around them."""

from __future__ import annotations

from dataclasses import dataclass

from remotemod.codegen.expressions import holds_named_tuples
from remotemod.codegen.layout import Group, Node, Seq, statement
from remotemod.codegen.literals import string
from remotemod.codegen.named_tuples import Conversions, plain_type
from remotemod.codegen.schema import SchemaWriter
from remotemod.codegen.signatures import Locals, Signatures, TextFunction
from remotemod.interface.model import Argument, Method
from remotemod.stub.schema import is_loose

__all__ = ["OperatorPlan", "plan_operator"]


@dataclass(frozen=True, slots=True)
class OperatorPlan:
    """The text around one method's three operators: call, submit and collect.

    ``call`` and ``submit`` are the lines of a scripted caller. ``collect`` waits for a submitted call where its
    operator passes the result in another form than the method's.
    """

    call: tuple[str, ...]
    submit: str
    collect: TextFunction | None
    declaration: Node


def plan_operator(
    method: Method,
    operators: str,
    me: str,
    signatures: Signatures,
    conversions: Conversions,
    schemas: SchemaWriter,
) -> OperatorPlan:
    """Work out the operators of ``method``.

    Args:
        method: the method; TorchScript can express its signature.
        operators: the name of the operators' namespace in the stub.
        me: the name of the stub's ``self``.
        signatures: spells its parameters.
        conversions: collects the functions for its named tuples.
        schemas: writes its types for the declaration.
    """
    imports = signatures.imports
    names = Locals(imports, (*(a.name for a in method.arguments), me))
    operator = f"{operators}.{method.name}"
    arguments: tuple[Node, ...] = (
        f"{me}._ref",
        *(_operand(a, names, conversions) for a in method.arguments),
    )
    collect, function = f"{operator}_collect", None
    if is_loose(method.returns) or holds_named_tuples(method.returns):
        name = imports.claim(f"_collect_{method.name}")
        collect, function = name, _collect(method, name, collect, signatures, conversions)
    schema = (method.name, schemas.arguments(method), schemas.type(method.returns))
    submit = Group(f"{operator}_submit(", arguments, ")")
    fork = Group(f"{imports.abi('fork')}(", (collect, submit), ")")
    call = Group(f"{operator}(", arguments, ")")
    return OperatorPlan(
        call=_result(method, call, 12, names, signatures, conversions),
        submit=statement(Seq(("return ", fork)), 12),
        collect=function,
        declaration=Group(f"{imports.abi('Operator')}(", tuple(map(string, schema)), ")"),
    )


def _collect(
    method: Method, name: str, operator: str, signatures: Signatures, conversions: Conversions
) -> TextFunction:
    """The function that waits for a submitted call and makes its result what the method returns."""
    imports = signatures.imports
    number = Locals(imports, ()).local("call")
    parameter = f"{number}: {imports.builtin('int')}"
    returns = signatures.type(method.returns)
    definition = signatures.define(name, [parameter], (), returns, 0)
    collecting = Group(f"{operator}(", (number,), ")")
    names = Locals(imports, (number,))
    return TextFunction(definition, _result(method, collecting, 4, names, signatures, conversions))


def _operand(argument: Argument, names: Locals, conversions: Conversions) -> str:
    if is_loose(argument.type):
        return argument.name  # an Any holds a named tuple as it is
    return conversions.plain(argument.type, argument.name, names)


def _result(
    method: Method,
    operation: Node,
    indent: int,
    names: Locals,
    signatures: Signatures,
    conversions: Conversions,
) -> tuple[str, ...]:
    """The lines that run an operator and return the method's own result."""
    tree = method.returns
    if not is_loose(tree) and not holds_named_tuples(tree):
        return (statement(Seq(("return ", operation)), indent),)
    raw = names.local("raw")
    lines = [statement(Seq((f"{raw} = ", operation)), indent)]
    if is_loose(tree):
        check = Group(
            f"{signatures.imports.module('torch')}.jit.isinstance(",
            (raw, signatures.type(plain_type(tree))),
            ")",
        )
        excuse = "  # type: ignore[no-untyped-call]"
        lines.append(statement(Seq(("assert ", check)), indent) + excuse)
    result = conversions.make(tree, raw, names)
    return *lines, statement(f"return {result}", indent)
