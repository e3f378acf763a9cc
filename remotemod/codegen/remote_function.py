"""Works out ``_remote_<method>``: the half of a stub that runs where the module lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remotemod.codegen.expressions import carries_tensors, holds_named_tuples, move
from remotemod.codegen.layout import WIDTH, Group, Node, Seq, statement
from remotemod.codegen.signatures import Locals, Signatures, has_opaque_defaults
from remotemod.codegen.torch_rpc_path import is_plain, positional
from remotemod.interface.model import Argument, Kind, Method
from remotemod.interface.types import ANY, OptionalType, Type

__all__ = ["OwnerPlan", "plan_owner"]


@dataclass(frozen=True, slots=True)
class OwnerPlan:
    """The text of one ``_remote_<method>``.

    ``result_move`` is None where nothing is to be moved back; ``call`` then returns. ``native`` says that
    TorchScript can compile the function.
    """

    name: str
    definition: str
    module: str
    module_rref: str
    is_device_map_set: str
    moves: tuple[str, ...]
    call: str
    ret: str | None
    result_move: str | None
    native: bool


def plan_owner(
    method: Method,
    name: str,
    signatures: Signatures,
    *,
    positional_only: bool,
    device_moves: bool,
    interface: str | None = None,
    make: Callable[[Type, str, Locals], str] | None = None,
) -> OwnerPlan:
    """Works out the owner's half of ``method``.

    Args:
        method: the method.
        name: the function's name in the stub.
        signatures: spells its parameters.
        positional_only: whether the parameters in front may be positional-only, so that no keyword of
            the caller's can ever meet them (TorchScript knows no such thing).
        device_moves: whether tensors go to the module's device and the result's come back.
        interface: the stub's own TorchScript interface of the module, if it has one.
        make: makes named tuples of what a scripted module returns in their place, if the stub can.
    """
    imports = signatures.imports
    names = Locals(imports, (a.name for a in method.arguments))
    local = {n: names.local(n) for n in ("module_rref", "device", "is_device_map_set")}
    module, ret = names.local("module"), names.local("ret")
    moves, exact = _argument_moves(method, local["device"], names, signatures, device_moves)
    result_move = _result_move(method, ret, names, signatures) if device_moves else None
    native = interface is not None and exact and is_plain(method)
    if native:
        reference = f"{imports.abi('RRef')}[{interface}]"
    else:
        reference = f"{imports.abi('RemoteRef')}[{imports.name('typing', 'Any')}]"
    first = [
        f"{local['module_rref']}: {reference}",
        f"{local['device']}: {imports.builtin('str')}",
        f"{local['is_device_map_set']}: {imports.builtin('bool')}",
    ]
    if positional_only and all(a.kind is not Kind.POSITIONAL_ONLY for a in method.arguments):
        first.append("/")
    returns = signatures.type(method.returns) if method.annotated else None
    # An unannotated result needs no name unless something is done with it.
    kept = returns is not None or result_move is not None
    typed = "" if returns is None else f": {returns}"
    return OwnerPlan(
        name=name,
        definition=signatures.define(
            name, first, positional(method) if native else method.arguments, returns, 0
        ),
        module=module,
        module_rref=local["module_rref"],
        is_device_map_set=local["is_device_map_set"],
        moves=moves,
        call=_call(
            method, module, f"{ret}{typed} = " if kept else "return ", names, signatures, make
        ),
        ret=ret if kept else None,
        result_move=result_move,
        native=native,
    )


def _argument_moves(
    method: Method, device: str, names: Locals, signatures: Signatures, device_moves: bool
) -> tuple[tuple[str, ...], bool]:
    """The lines that move the arguments, and whether types alone say how (the result's included)."""
    if not device_moves:
        return (), True
    lines, exact = [], _exact_result_move(method, "ret", names) is not None
    for argument in method.arguments:
        moved = _argument_move(argument, device, names, signatures)
        if moved != argument.name:
            lines.append(statement(Seq((f"{argument.name} = ", moved)), 4))
            exact = exact and isinstance(moved, str)
    return tuple(lines), exact


def _call(
    method: Method,
    module: str,
    result: str,
    names: Locals,
    signatures: Signatures,
    make: Callable[[Type, str, Locals], str] | None,
) -> str:
    if make is not None and holds_named_tuples(method.returns):
        raw = names.local("raw")
        made = make(method.returns, raw, names)
        called = _call(method, module, f"{raw} = ", names, signatures, None)
        return f"{called}\n    {statement(f'{result}{made}', 4)}"
    target = f"{module}.{method.name}"
    if has_opaque_defaults(method):
        args, kwargs = names.local("args"), names.local("kwargs")
        unpacked = statement(Seq((f"{args}, {kwargs} = ", signatures.given(method))), 4)
        call: Node = Group(f"{target}(", (f"*{args}", f"**{kwargs}"), ")")
        return f"{unpacked}\n    {statement(Seq((result, call)), 4)}"
    items: list[Node] = []
    for argument in method.arguments:
        name = argument.name
        spelled = {
            Kind.VAR_POSITIONAL: f"*{name}",
            Kind.VAR_KEYWORD: f"**{name}",
            Kind.KEYWORD_ONLY: f"{name}={name}",
        }
        items.append(spelled.get(argument.kind, name))
    return statement(Seq((result, Group(f"{target}(", tuple(items), ")"))), 4)


def _argument_move(argument: Argument, device: str, names: Locals, signatures: Signatures) -> Node:
    tree = argument.type
    if argument.default is not None:
        if argument.default.text == "None" and not isinstance(tree, OptionalType):
            tree = OptionalType(tree)
        elif argument.default.form == "opaque":
            tree = ANY if carries_tensors(tree) else tree
    if argument.kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD) and carries_tensors(tree):
        tree = ANY
    exact = move(tree, argument.name, names, lambda v: f"{v}.to({device})")
    if exact is not None and _is_short(exact, argument.name):
        return exact
    return Group(f"{signatures.imports.abi('move')}(", (argument.name, device), ")")


def _result_move(method: Method, ret: str, names: Locals, signatures: Signatures) -> str | None:
    if not carries_tensors(method.returns):
        return None
    if _exact_result_move(method, ret, names) is None:
        return f"{signatures.imports.abi('move_to_caller')}({ret})"
    to_caller = signatures.imports.abi("to_caller")
    return move(method.returns, ret, names, lambda v: f"{to_caller}({v})")


def _exact_result_move(method: Method, ret: str, names: Locals) -> str | None:
    exact = move(method.returns, ret, names, lambda v: f"to_caller({v})")
    return exact if exact is not None and _is_short(exact, ret) else None


def _is_short(exact: str, value: str) -> bool:
    """Whether a move fits on a line: what does not is no longer readable, and a helper does the same."""
    return len(exact) + len(value) + 11 <= WIDTH
