"""Works out ``_remote_<method>``: the half of a stub that runs where the module lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remotemod.interface.model import Argument, Kind, Method
from remotemod.interface.naming import fresh
from remotemod.interface.types import ANY, OptionalType, Type
from remotemod.stubs.layout import WIDTH, Group, Node, Seq, lay
from remotemod.stubs.rewrite import carries_tensors, move
from remotemod.stubs.signatures import Signatures, has_opaque_defaults

__all__ = ["OwnerPlan", "plan_owner"]


@dataclass(frozen=True, slots=True)
class OwnerPlan:
    """The text of one ``_remote_<method>``; ``result_move`` is None where nothing is to be moved back."""

    name: str
    definition: str
    module: str
    module_rref: str
    is_device_map_set: str
    moves: tuple[str, ...]
    call: str
    ret: str
    result_move: str | None


def plan_owner(
    method: Method, name: str, signatures: Signatures, *, positional_only: bool, device_moves: bool
) -> OwnerPlan:
    """Works out the owner's half of ``method``.

    Args:
        method: the method.
        name: the function's name in the stub.
        signatures: spells its parameters.
        positional_only: whether the parameters in front may be positional-only, so that no keyword of
            the caller's can ever meet them (TorchScript knows no such thing).
        device_moves: whether tensors go to the module's device and the result's come back.
    """
    imports = signatures.imports
    taken = {a.name for a in method.arguments}
    local = {n: fresh(n, taken) for n in ("module_rref", "device", "is_device_map_set")}
    module, ret = fresh("module", taken), fresh("ret", taken)
    first = [
        f"{local['module_rref']}: {imports.abi('RemoteRef')}[{imports.name('typing', 'Any')}]",
        f"{local['device']}: str",
        f"{local['is_device_map_set']}: bool",
    ]
    if positional_only and all(a.kind is not Kind.POSITIONAL_ONLY for a in method.arguments):
        first.append("/")
    returns = signatures.type(method.returns) if method.annotated else None
    moves: list[str] = []
    if device_moves:
        for argument in method.arguments:
            moved = _argument_move(argument, local["device"], signatures)
            if moved != argument.name:
                moves.append(f"{argument.name} = {moved}")
    return OwnerPlan(
        name=name,
        definition=signatures.define(name, first, method.arguments, returns, 0),
        module=module,
        module_rref=local["module_rref"],
        is_device_map_set=local["is_device_map_set"],
        moves=tuple(moves),
        call=_call(method, module, f"{ret}{'' if returns is None else f': {returns}'} = ", signatures),
        ret=ret,
        result_move=_result_move(method, ret, signatures) if device_moves else None,
    )


def _call(method: Method, module: str, result: str, signatures: Signatures) -> str:
    # Calling the module itself runs the hooks that were registered on it, as a local call would.
    target = module if method.name == "forward" else f"{module}.{method.name}"
    if has_opaque_defaults(method):
        taken = {a.name for a in method.arguments} | {module}
        args, kwargs = fresh("args", taken), fresh("kwargs", taken)
        unpacked = lay(Seq((f"{args}, {kwargs} = ", signatures.given(method))), 4)
        return f"{unpacked}\n    {result}{target}(*{args}, **{kwargs})"
    items: list[Node] = []
    for argument in method.arguments:
        name = argument.name
        spelled = {
            Kind.VAR_POSITIONAL: f"*{name}",
            Kind.VAR_KEYWORD: f"**{name}",
            Kind.KEYWORD_ONLY: f"{name}={name}",
        }
        items.append(spelled.get(argument.kind, name))
    return lay(Seq((result, Group(f"{target}(", tuple(items), ")"))), 4)


def _argument_move(argument: Argument, device: str, signatures: Signatures) -> str:
    tree = argument.type
    if argument.default is not None:
        if argument.default.text == "None" and not isinstance(tree, OptionalType):
            tree = OptionalType(tree)
        elif argument.default.form == "opaque":
            tree = ANY if carries_tensors(tree) else tree
    if argument.kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD) and carries_tensors(tree):
        tree = ANY

    def whatever(value: str) -> str:
        return f"{signatures.imports.abi('move')}({value}, {device})"

    return _fitting(tree, argument.name, lambda v: f"{v}.to({device})", whatever)


def _result_move(method: Method, ret: str, signatures: Signatures) -> str | None:
    if not carries_tensors(method.returns):
        return None

    def whatever(value: str) -> str:
        return f"{signatures.imports.abi('move_to_caller')}({value})"

    def tensor(value: str) -> str:
        return f"{signatures.imports.abi('to_caller')}({value})"

    return _fitting(method.returns, ret, tensor, whatever)


def _fitting(
    tree: Type, value: str, tensor: Callable[[str], str], whatever: Callable[[str], str]
) -> str:
    exact = move(tree, value, tensor, whatever)
    # What no longer fits on a line is no longer readable either; the helper does the same.
    return exact if len(exact) + len(value) + 11 <= WIDTH else whatever(value)
