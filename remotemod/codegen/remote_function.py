"""Work out ``_remote_<method>``: the half of a stub that runs on the module's owner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from remotemod.codegen.expressions import carries_tensors, holds_named_tuples, move
from remotemod.codegen.layout import WIDTH, Group, Node, Seq, statement
from remotemod.codegen.signatures import Locals, Signatures, has_opaque_defaults, passed
from remotemod.interface.model import Argument, Kind, Method
from remotemod.interface.types import ANY, OptionalType, Type

__all__ = ["RemoteFunction", "has_exact_moves", "plan_remote_function"]


@dataclass(frozen=True, slots=True)
class RemoteFunction:
    """The text of one ``_remote_<method>``."""

    name: str
    definition: str
    body: tuple[str, ...]


def plan_remote_function(
    method: Method,
    name: str,
    signatures: Signatures,
    *,
    device_moves: bool,
    reference: str | None = None,
    make: Callable[[Type, str, Locals], str] | None = None,
) -> RemoteFunction:
    """Work out the owner's half of ``method``.

    Args:
        method: the method.
        name: the function's name in the stub.
        signatures: spells its parameters.
        device_moves: whether tensors go to the module's device and the result's come back.
        reference: the type of the reference to the module, where TorchScript is to compile the function and be
            passed all arguments by position; by default any.
        make: makes named tuples of the plain ones that a scripted module returns, if the stub can.
    """
    imports = signatures.imports
    names = Locals(imports, (a.name for a in method.arguments))
    local = {n: names.local(n) for n in ("module_rref", "device", "is_device_map_set")}
    module = names.local("module")
    parameters = method.arguments if reference is None else positional(method)
    typed = reference or f"{imports.abi('RemoteRef')}[{imports.name('typing', 'Any')}]"
    first = [
        f"{local['module_rref']}: {typed}",
        f"{local['device']}: {imports.builtin('str')}",
        f"{local['is_device_map_set']}: {imports.builtin('bool')}",
    ]
    if reference is None and all(a.kind is not Kind.POSITIONAL_ONLY for a in method.arguments):
        first.append("/")  # so that no keyword of the caller's can meet a parameter in front
    returns = signatures.type(method.returns) if method.annotated else None

    def value(argument: Argument) -> Node:
        if not device_moves:
            return argument.name
        return _argument_move(argument, local["device"], names, signatures)

    prepared: tuple[str, ...] = ()
    if has_opaque_defaults(method):
        args, kwargs = names.local("args"), names.local("kwargs")
        dropped = signatures.drop_omitted(method, value)
        prepared = (statement(Seq((f"{args}, {kwargs} = ", dropped)), 4),)
        items: tuple[Node, ...] = (f"*{args}", f"**{kwargs}")
    else:
        items = passed(method, value)
    call = Group(f"{module}.{method.name}(", items, ")")
    return RemoteFunction(
        name=name,
        definition=signatures.define(name, first, parameters, returns, 0),
        body=(
            f"{module} = {local['module_rref']}.local_value()",
            *prepared,
            *_answer(
                method, call, local["is_device_map_set"], names, signatures, device_moves, make
            ),
        ),
    )


def _answer(
    method: Method,
    call: Node,
    is_device_map_set: str,
    names: Locals,
    signatures: Signatures,
    device_moves: bool,
    make: Callable[[Type, str, Locals], str] | None,
) -> tuple[str, ...]:
    """The lines that call the module and return its result, moved back where that is needed."""
    lines = []
    if make is not None and holds_named_tuples(method.returns):
        raw = names.local("raw")
        lines.append(statement(Seq((f"{raw} = ", call)), 4))
        call = make(method.returns, raw, names)
    result = names.local("result")
    moved = _result_move(method, result, names, signatures) if device_moves else None
    if moved is None:
        return *lines, statement(Seq(("return ", call)), 4)
    lines.append(statement(Seq((f"{result} = ", call)), 4))
    other = f"({moved})" if isinstance(method.returns, OptionalType) and " if " in moved else moved
    chosen = f"return {result} if {is_device_map_set} else {other}"
    if len(chosen) + 4 <= WIDTH:
        return *lines, chosen
    return *lines, f"if {is_device_map_set}:", f"    return {result}", f"return {moved}"


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


def _result_move(method: Method, result: str, names: Locals, signatures: Signatures) -> str | None:
    if not carries_tensors(method.returns):
        return None
    if _exact_result_move(method, result, names) is None:
        return f"{signatures.imports.abi('move_to_caller')}({result})"
    to_caller = signatures.imports.abi("to_caller")
    return move(method.returns, result, names, lambda v: f"{to_caller}({v})")


def _exact_result_move(method: Method, result: str, names: Locals) -> str | None:
    exact = move(method.returns, result, names, lambda v: f"to_caller({v})")
    return exact if exact is not None and _is_short(exact, result) else None


def positional(method: Method) -> tuple[Argument, ...]:
    """The method's parameters for a function that is always passed all of them by position."""
    kind = Kind.POSITIONAL_OR_KEYWORD
    return tuple(dataclasses.replace(a, kind=kind, default=None) for a in method.arguments)


def has_exact_moves(method: Method, signatures: Signatures) -> bool:
    """Whether the types alone show where all tensors are, so that moves are spelt out."""
    names = Locals(signatures.imports, (a.name for a in method.arguments))
    moves = [_argument_move(a, "device", names, signatures) for a in method.arguments]
    exact = all(isinstance(node, str) for node in moves)
    return exact and _exact_result_move(method, "result", names) is not None


def _is_short(exact: str, value: str) -> bool:
    """Whether a move fits on a line: a longer one is no longer readable, and a helper does the same."""
    return len(exact) + len(value) + 11 <= WIDTH
