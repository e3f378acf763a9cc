"""Works out a scripted stub's dispatcher operators: schemas, calls, and what they run in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remotemod.interface.model import Kind, Method
from remotemod.interface.naming import fresh
from remotemod.interface.types import ANY, NamedTupleType, NoneType
from remotemod.stubs.layout import Group, Node, Seq, lay
from remotemod.stubs.rewrite import flatten, holds_named_tuples, rebuild
from remotemod.stubs.schema import argument_schema, result_schema
from remotemod.stubs.signatures import Signatures

__all__ = ["OperatorPlan", "plan_operator"]


@dataclass(frozen=True, slots=True)
class OperatorPlan:
    """The text of one method's three operators: call, submit and collect."""

    pack_name: str
    pack_definition: str
    pack_return: str
    collect_definition: str
    collect_call: str
    call: str
    finish: tuple[str, ...]
    submit: str
    arguments: str
    result: str


def plan_operator(
    method: Method, namespace: str, me: str, signatures: Signatures
) -> OperatorPlan:
    """Works out the operators of ``method``.

    Args:
        method: the method; TorchScript can express its signature.
        namespace: the operators' namespace.
        me: the name of the stub's ``self``.
        signatures: spells its parameters.
    """
    imports = signatures.imports
    names = [a.name for a in method.arguments]
    torch = imports.module("torch")
    operator = f"{torch}.ops.{namespace}.{method.name}"
    flat = (flatten(a.type, a.name) for a in method.arguments)
    arguments: tuple[Node, ...] = (f"{me}._ref", *flat)
    returns = signatures.type(method.returns)
    assign, finish = _finish(method, names, returns, torch, signatures)
    collect, pack = imports.claim(f"_collect_{method.name}"), imports.claim(f"_pack_{method.name}")
    call = "call"
    submit = Group(f"{operator}_submit(", arguments, ")")
    fork = Group(f"{imports.abi('fork')}(", (collect, submit), ")")
    anything = imports.name("typing", "Any")
    packed = f"tuple[tuple[{anything}, ...], dict[str, {anything}]]"
    return OperatorPlan(
        pack_name=pack,
        pack_definition=signatures.define(pack, [], method.arguments, packed, 0),
        pack_return=_pack_return(method, signatures),
        collect_definition=f"def {collect}({call}: int) -> {returns}:",
        collect_call=f"{assign}{operator}_collect({call})",
        call=lay(Seq((assign, Group(f"{operator}(", arguments, ")"))), 12),
        finish=finish,
        submit=lay(Seq(("return ", fork)), 12),
        arguments=argument_schema(method),
        result=result_schema(method.returns),
    )


def _finish(
    method: Method, taken: list[str], returns: str, torch: str, signatures: Signatures
) -> tuple[str, tuple[str, ...]]:
    """How an operator's result is kept, and the lines that make the method's own result of it."""
    tree = method.returns
    ret, raw = fresh("ret", taken), fresh("raw", taken)
    if isinstance(tree, NoneType):
        return "", ("return None",)
    finish = (f"return {ret}",)
    if result_schema(tree) == "(Any)" and tree != ANY:
        check = f"assert {torch}.jit.isinstance({raw}, {returns})"
        return f"{raw} = ", (check, f"{ret}: {returns} = {raw}", *finish)
    if holds_named_tuples(tree):
        rebuilt = rebuild(tree, raw, _spelled(signatures))
        return f"{raw} = ", (f"{ret}: {returns} = {rebuilt}", *finish)
    return f"{ret}: {returns} = ", finish


def _pack_return(method: Method, signatures: Signatures) -> str:
    positional: list[Node] = []
    keywords: list[Node] = []
    for argument in method.arguments:
        # Operators hand named tuples over as tuples; the owner gets the class that it knows.
        value = rebuild(argument.type, argument.name, _spelled(signatures))
        if argument.kind is Kind.KEYWORD_ONLY:
            keywords.append(f'"{argument.name}": {value}')
        else:
            positional.append(value)
    pair: tuple[Node, ...] = (
        Group("(", tuple(positional), ")", lone_comma=True),
        ", ",
        Group("{", tuple(keywords), "}"),
    )
    return lay(Seq(("return ", *pair)), 4)


def _spelled(signatures: Signatures) -> Callable[[NamedTupleType], str]:
    def spelled(node: NamedTupleType) -> str:
        return signatures.imports.symbol(node.symbol)

    return spelled
