"""Write the code that TorchScript runs over torch's RPC: an interface to type references by, a handle, owner functions.

Torch's RPC runs compiled functions without Python on either side. This text is made of a stub's declaration;
callers write it, owners receive it beside the stub.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import Group, Node, Seq, flat
from remotemod.codegen.remote_function import RemoteFunction, has_exact_moves, plan_remote_function
from remotemod.codegen.render import render_template
from remotemod.codegen.scriptable import CONSTRUCTORS
from remotemod.codegen.signatures import Locals, Signatures, passed
from remotemod.interface.model import Argument, Default, Kind, Method
from remotemod.interface.types import (
    NONE,
    DictType,
    FutureType,
    ListType,
    OptionalType,
    PlainType,
    TensorType,
    TupleType,
    Type,
)
from remotemod.stub.loader import LoadedStub

__all__ = ["HANDLE", "INTERFACE", "REMOTE", "script_text"]

INTERFACE, HANDLE, REMOTE = "Interface", "Handle", "REMOTE"
"""The names in the text: the interface's class, the handle's class, and the owner functions by method."""


@dataclass(frozen=True, slots=True)
class _MethodText:
    name: str
    definition: str
    async_definition: str
    key: str
    send: tuple[str, ...]
    answer: str
    send_async: str
    operator: str
    operator_async: str
    call: str
    call_async: str
    remote: RemoteFunction


@dataclass(frozen=True, slots=True)
class _PathText:
    interface: str
    import_sections: tuple[tuple[str, ...], ...]
    operators: str
    names: dict[str, str]
    methods: tuple[_MethodText, ...]


def script_text(stub: LoadedStub) -> str | None:
    """The text for a stub; None where TorchScript can reach none of its methods so.

    Args:
        stub: a stub that this process has loaded.
    """
    methods = [m for m in _methods(stub) if _is_plain(m)]
    users = {name for m in methods for name in (m.name, f"{m.name}_async")}
    users |= {a.name for m in methods for a in m.arguments}
    imports = Imports(users, [INTERFACE, HANDLE, REMOTE], CONSTRUCTORS)
    signatures = Signatures(imports, evaluated=True)
    moves = stub.contents.device_moves
    methods = [m for m in methods if not moves or has_exact_moves(m, signatures)]
    if not methods:
        return None
    names = {
        "Interface": INTERFACE,
        "Handle": HANDLE,
        "is_scripting": imports.abi("is_scripting"),
        "record_function": imports.name("torch.autograd.profiler", "record_function"),
        "torch": imports.module("torch"),
    }
    operators = imports.claim("OPS")
    plans = tuple(_plan(m, signatures, operators, moves) for m in methods)
    path = _PathText(
        interface=stub.declaration.interface,
        import_sections=tuple(map(tuple, imports.runtime_lines())),
        operators=f"{operators} = {names['torch']}.ops.{stub.declaration.namespace}",
        names=names,
        methods=plans,
    )
    return render_template("torch_rpc.py.jinja", path=path)


def _methods(stub: LoadedStub) -> Iterator[Method]:
    for name, schema in stub.schemas.items():
        _, *parameters = inspect.signature(stub.cls.__dict__[name]).parameters.values()
        arguments = tuple(
            Argument(
                p.name, tree, Kind(p.kind.value), Default("None") if p.default is None else None
            )
            for p, (_, tree) in zip(parameters, schema.arguments, strict=True)
        )
        yield Method(name, arguments, schema.result)


def _is_plain(method: Method) -> bool:
    """Whether the method's values come out of TorchScript as Python knows them.

    A named tuple or an enum would come back as a class that TorchScript made up.
    """
    return all(_is_plain_type(t) for t in (method.returns, *(a.type for a in method.arguments)))


def _is_plain_type(tree: Type) -> bool:
    match tree:
        case PlainType(is_exact=is_exact):
            return is_exact
        case OptionalType(item=item) | ListType(item=item):
            return _is_plain_type(item)
        case DictType(key=key, value=value):
            return _is_plain_type(key) and _is_plain_type(value)
        case TupleType(items=items):
            return bool(items) and all(map(_is_plain_type, items))
    return isinstance(tree, TensorType)


def _plan(
    method: Method, signatures: Signatures, operators: str, device_moves: bool
) -> _MethodText:
    imports = signatures.imports
    names = Locals(imports, (a.name for a in method.arguments))
    me, answer = names.local("self"), names.local("answer")
    returns = signatures.type(method.returns)
    future = signatures.type(FutureType(method.returns))
    reference = f"{imports.name('torch.distributed.rpc', 'RRef')}[{INTERFACE}]"
    remote = plan_remote_function(
        method,
        imports.claim(f"_remote_{method.name}"),
        signatures,
        device_moves=device_moves,
        reference=reference,
    )
    travels = tuple(f"{me}.{n}" for n in ("module_rref", "device", "is_device_map_set"))
    values = Group("(", (*travels, *(a.name for a in method.arguments)), ")")
    items: tuple[Node, ...] = (
        f"{me}.module_rref.owner()",
        remote.name,
        values,
        "{}",
        f"{me}._seconds",
    )
    rpc_async = flat(Group(f"{imports.name('torch.distributed.rpc', 'rpc_async')}(", items, ")"))
    operands: tuple[Node, ...] = (f"{me}._ref", *(a.name for a in method.arguments))
    operator = f"{operators}.{method.name}"
    submit = Group(f"{operator}_submit(", operands, ")")
    fork = Group(f"{imports.abi('fork')}(", (f"{operator}_collect", submit), ")")
    arguments: tuple[Node, ...] = (f'"{method.name}"', *passed(method))
    is_none = method.returns == NONE
    # The handle takes its defaults from the stub's class; all others are passed every argument.
    parameters = tuple(dataclasses.replace(a, default=None) for a in method.arguments)
    return _MethodText(
        name=method.name,
        definition=signatures.define(method.name, [me], parameters, returns, 4),
        async_definition=signatures.define(f"{method.name}_async", [me], parameters, future, 4),
        key=f'"rpc_async_jit#{method.name}" + {me}._route',
        send=(f"{rpc_async}.wait()" if is_none else f"{answer}: {returns} = {rpc_async}.wait()",),
        answer="" if is_none else answer,
        send_async=f"return {rpc_async}",
        operator=flat(Seq(("return ", Group(f"{operator}(", operands, ")")))),
        operator_async=flat(Seq(("return ", fork))),
        call=flat(Seq(("return ", Group(f"{me}._call(", arguments, ")")))),
        call_async=flat(Seq(("return ", Group(f"{me}._submit(", arguments, ")")))),
        remote=remote,
    )
