"""Works out the TorchScript path of a scripted stub: its own interface, and calls with no Python on the way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from remotemod.codegen.layout import Group, Node, Seq, statement
from remotemod.codegen.signatures import Locals, Signatures
from remotemod.interface.model import Argument, Kind, Method
from remotemod.interface.types import (
    DeviceType,
    DictType,
    ListType,
    NoneType,
    OptionalType,
    ScalarType,
    StrType,
    TensorType,
    TupleType,
    Type,
)

__all__ = ["NativePlan", "is_plain", "plan_native", "positional"]

_PLAIN = (TensorType, StrType, NoneType, DeviceType)
_INDENT = 12


@dataclass(frozen=True, slots=True)
class NativePlan:
    """The text of one method as TorchScript calls it on an engine that runs TorchScript by itself.

    ``definition`` is the method in the stub's own interface; ``call`` and ``submit`` are the lines of the
    caller.
    """

    definition: str
    call: tuple[str, ...]
    submit: tuple[str, ...]


def is_plain(method: Method) -> bool:
    """Whether the method's values come out of TorchScript as Python knows them.

    A named tuple or an enum would come back as a class that TorchScript made up.
    """
    return all(_is_plain(t) for t in (method.returns, *(a.type for a in method.arguments)))


def _is_plain(tree: Type) -> bool:
    match tree:
        case ScalarType(name=name):
            return name != "Number"
        case OptionalType(item=item) | ListType(item=item):
            return _is_plain(item)
        case DictType(key=key, value=value):
            return _is_plain(key) and _is_plain(value)
        case TupleType(items=items):
            return bool(items) and all(map(_is_plain, items))
    return isinstance(tree, _PLAIN)


def positional(method: Method) -> tuple[Argument, ...]:
    """The method's parameters as ``_remote_*`` takes them natively: ``rpc_async`` passes a tuple.

    Callers always pass all of them, so defaults may go where they stand in the way.
    """
    keywords = any(a.kind is Kind.KEYWORD_ONLY for a in method.arguments)
    return tuple(
        dataclasses.replace(
            a, kind=Kind.POSITIONAL_OR_KEYWORD, default=None if keywords else a.default
        )
        for a in method.arguments
    )


def plan_native(method: Method, owner: str, signatures: Signatures) -> NativePlan:
    """Works out the native path of ``method``.

    Args:
        method: the method; all its types are plain.
        owner: the name of its ``_remote_*`` function.
        signatures: spells its parameters.
    """
    imports = signatures.imports
    names = Locals(imports, (a.name for a in method.arguments))
    me, answer = names.local("self"), names.local("answer")
    returns = signatures.type(method.returns)
    travels = ("module_rref", "device", "is_device_map_set")
    values = (*(f"{me}.{n}" for n in travels), *(a.name for a in method.arguments))
    items: tuple[Node, ...] = (
        f"{me}.module_rref.owner()",
        owner,
        Group("(", values, ")"),
        "{}",
        f"{me}._seconds",
    )
    rpc_async = f"{imports.abi('rpc_async')}("
    key = f'"rpc_async_jit#{method.name}" + {me}._route'
    record = f"with {imports.abi('record_function')}({key}):"
    call: tuple[str, ...]
    if isinstance(method.returns, NoneType):
        call = (_line(Group(rpc_async, items, ").wait()")), "return")
    else:
        waited = Seq((f"{answer}: {returns} = ", Group(rpc_async, items, ").wait()")))
        call = (_line(waited), f"return {answer}")
    later = _line(Seq(("return ", Group(rpc_async, items, ")"))))
    # With gradients the calls are nodes of the caller's graph, which only the operators make.
    head = f"if {me}._native and not {imports.module('torch')}.is_grad_enabled():"
    return NativePlan(
        definition=signatures.define(method.name, [me], method.arguments, returns, 4),
        call=(head, f"    {record}", f"        {call[0]}", f"    {call[1]}"),
        submit=(head, f"    {record}", f"        {later}"),
    )


def _line(node: Node) -> str:
    return statement(node, _INDENT + 4)
