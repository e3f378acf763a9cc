"""Works out a scripted stub's dispatcher operators: schemas, calls, and what they run in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remotemod.codegen.expressions import holds_named_tuples
from remotemod.codegen.layout import Group, Node, Seq, statement
from remotemod.codegen.named_tuples import Conversions, plain_type
from remotemod.codegen.schema import argument_schema, is_loose, result_schema
from remotemod.codegen.signatures import Locals, Signatures, split_arguments
from remotemod.interface.model import Argument, Kind, Method
from remotemod.interface.types import ANY, NoneType

__all__ = ["OperatorPlan", "plan_operator"]


@dataclass(frozen=True, slots=True)
class OperatorPlan:
    """The text of one method's three operators: call, submit and collect."""

    pack_name: str
    pack_definition: str
    pack_return: str
    collect_definition: str
    collect: tuple[str, ...]
    call: tuple[str, ...]
    submit: str
    arguments: str
    result: str


def plan_operator(
    method: Method, namespace: str, me: str, signatures: Signatures, conversions: Conversions
) -> OperatorPlan:
    """Works out the operators of ``method``.

    Args:
        method: the method; TorchScript can express its signature.
        namespace: the operators' namespace.
        me: the name of the stub's ``self``.
        signatures: spells its parameters.
        conversions: collects the functions for its named tuples.
    """
    imports = signatures.imports
    names = Locals(imports, (*(a.name for a in method.arguments), me))
    operator = f"{imports.module('torch')}.ops.{namespace}.{method.name}"
    arguments: tuple[Node, ...] = (
        f"{me}._ref",
        *(_operand(a, names, conversions) for a in method.arguments),
    )
    collect, pack = imports.claim(f"_collect_{method.name}"), imports.claim(f"_pack_{method.name}")
    number = Locals(imports, ()).local("call")
    submit = Group(f"{operator}_submit(", arguments, ")")
    fork = Group(f"{imports.abi('fork')}(", (collect, submit), ")")
    anything, record = imports.name("typing", "Any"), imports.builtin("tuple")
    text = imports.builtin("str")
    packed = f"{record}[{record}[{anything}, ...], {imports.builtin('dict')}[{text}, {anything}]]"
    collecting = Group(f"{operator}_collect(", (number,), ")")
    return OperatorPlan(
        pack_name=pack,
        pack_definition=signatures.define(pack, [], _operands(method), packed, 0),
        pack_return=_pack_return(method, names, conversions),
        collect_definition=signatures.define(
            collect, [f"{number}: {imports.builtin('int')}"], (), signatures.type(method.returns), 0
        ),
        collect=_result(method, collecting, 4, Locals(imports, (number,)), signatures, conversions),
        call=_result(
            method, Group(f"{operator}(", arguments, ")"), 8, names, signatures, conversions
        ),
        submit=statement(Seq(("return ", fork)), 8),
        arguments=argument_schema(method),
        result=result_schema(method.returns),
    )


def _operand(argument: Argument, names: Locals, conversions: Conversions) -> str:
    if is_loose(argument.type):
        return argument.name  # an Any holds a named tuple as it is
    return conversions.plain(argument.type, argument.name, names)


def _operands(method: Method) -> Sequence[Argument]:
    """The parameters of the function that packs, as operators hand them over: all, by position."""
    return [
        Argument(a.name, ANY if is_loose(a.type) else plain_type(a.type)) for a in method.arguments
    ]


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
    if isinstance(tree, NoneType):
        return (statement(operation, indent),)
    returns = signatures.type(tree)
    out = names.local("out")
    if not is_loose(tree) and not holds_named_tuples(tree):
        return statement(Seq((f"{out}: {returns} = ", operation)), indent), f"return {out}"
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
    made = conversions.make(tree, raw, names)
    lines += [statement(f"{out}: {returns} = {made}", indent), f"return {out}"]
    return tuple(lines)


def _pack_return(method: Method, names: Locals, conversions: Conversions) -> str:
    positional, _, _ = split_arguments(method)
    # Operators hand named tuples over as tuples; the owner gets the class that it knows.
    values = [conversions.make(a.type, a.name, names) for a in positional]
    keywords = [
        f'"{a.name}": {conversions.make(a.type, a.name, names)}'
        for a in method.arguments
        if a.kind is Kind.KEYWORD_ONLY
    ]
    pair = Group("(", tuple(values), ")", lone_comma=True), ", ", Group("{", tuple(keywords), "}")
    return statement(Seq(("return ", *pair)), 4)
