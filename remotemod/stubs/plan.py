"""Decides everything that a stub's text says, so that the templates only lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remotemod.errors import InterfaceError
from remotemod.interface.model import Interface, Kind, Method
from remotemod.interface.naming import fresh, stub_class_name
from remotemod.interface.types import FutureType, NoneType, Symbol
from remotemod.stubs.declaration import STUB_ABI, Form
from remotemod.stubs.layout import Group, Node, Seq, lay
from remotemod.stubs.names import Imports
from remotemod.stubs.operators import OperatorPlan, plan_operator
from remotemod.stubs.owner_side import OwnerPlan, plan_owner
from remotemod.stubs.reserved import RESERVED
from remotemod.stubs.signatures import Signatures
from remotemod.stubs.spell import string

__all__ = ["MethodPlan", "StubPlan", "plan_stub"]

_TOP_LEVEL = ("STUB", "OPERATORS", "REMOTE_METHODS", "tuple", "str", "dict", "bool", "int", "None")


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """One method's pair of caller functions, its owner function and, if scripted, its operators."""

    name: str
    doc: str | None
    definition: str
    async_definition: str
    call: str
    ret: str
    submit: str
    owner: OwnerPlan
    operator: OperatorPlan | None


@dataclass(frozen=True, slots=True)
class StubPlan:
    """One stub file.

    ``bound`` maps names in the text to what they stand for where no import can reach it (classes in
    functions, or in ``__main__``): whoever loads the text binds them.
    """

    version: str
    source: str
    interface: Interface
    form: Form
    device_moves: bool
    class_name: str
    class_doc: str
    methods: tuple[MethodPlan, ...]
    left_out: tuple[str, ...]
    declaration: str
    import_sections: tuple[tuple[str, ...], ...]
    checking_lines: tuple[str, ...]
    bound: dict[str, Symbol]
    names: dict[str, str]


def plan_stub(
    interface: Interface, *, source: str, version: str, form: Form, device_moves: bool
) -> StubPlan:
    """Works out the stub of ``interface``.

    Args:
        interface: what to generate for.
        source: the ``TARGET`` that the header and mending commands name.
        version: remotemod's version.
        form: eager, or scripted for TorchScript.
        device_moves: whether the owner's functions move tensors to the module's device and back.

    Raises:
        InterfaceError: the form cannot express a method's signature.
    """
    methods = [m for m in interface.remote_methods if m.name not in RESERVED]
    if form == "scripted":
        _refuse_unscriptable(interface, methods)
    class_name = stub_class_name(interface)
    imports = Imports([*_user_names(methods), *_TOP_LEVEL, class_name])
    names = {n: imports.abi(n) for n in ("RemoteModule", "Stub")}
    names["Any"] = imports.name("typing", "Any")
    names["Callable"] = imports.name("collections.abc", "Callable")
    if form == "scripted":
        names["Operator"] = imports.abi("Operator")
        names["export"] = imports.abi("export")
        names["torch"] = imports.module("torch")
    namespace = f"remotemod_{interface.digest}" if form == "scripted" else ""
    plans = tuple(_plan_method(m, imports, namespace, device_moves) for m in methods)
    checking = tuple(imports.checking_lines())
    if checking:
        names["TYPE_CHECKING"] = imports.name("typing", "TYPE_CHECKING")
    return StubPlan(
        version=version,
        source=source,
        interface=interface,
        form=form,
        device_moves=device_moves,
        class_name=class_name,
        class_doc=interface.doc or f"A ``{interface.name}`` that runs on another worker.",
        methods=plans,
        left_out=tuple(m.name for m in interface.remote_methods if m.name in RESERVED),
        declaration=_declaration(names["Stub"], interface, form, device_moves, methods),
        import_sections=tuple(tuple(s) for s in imports.runtime_lines()),
        checking_lines=checking,
        bound=imports.bound,
        names=names,
    )


def _plan_method(
    method: Method, imports: Imports, namespace: str, device_moves: bool
) -> MethodPlan:
    scripted = bool(namespace)
    signatures = Signatures(imports, evaluated=scripted)
    taken = [a.name for a in method.arguments]
    me, ret = fresh("self", taken), fresh("ret", taken)
    returns = signatures.type(method.returns) if method.annotated else None
    future = signatures.type(FutureType(method.returns))
    travels: tuple[Node, ...] = (f'"{method.name}"', *signatures.call_arguments(method))
    call = Group(f"{me}._remote_call(", travels, ")")
    submit = Group(f"{me}._remote_submit(", travels, ")")
    # Beside a scripted branch the name already has its type.
    declared = scripted and not isinstance(method.returns, NoneType)
    typed = "" if returns is None or declared else f": {returns}"
    indent = 12 if scripted else 8
    return MethodPlan(
        name=method.name,
        doc=method.doc,
        definition=signatures.define(method.name, [me], method.arguments, returns, 4),
        async_definition=signatures.define(
            f"{method.name}_async", [me], method.arguments, future, 4
        ),
        call=lay(Seq((f"{ret}{typed} = ", call)), indent),
        ret=ret,
        submit=lay(Seq(("return ", submit)), indent),
        owner=plan_owner(
            method,
            imports.claim(f"_remote_{method.name}"),
            signatures,
            positional_only=not scripted,
            device_moves=device_moves,
        ),
        operator=plan_operator(method, namespace, me, signatures) if scripted else None,
    )


def _user_names(methods: Sequence[Method]) -> set[str]:
    names = {a.name for m in methods for a in m.arguments}
    return names | {m.name for m in methods} | {f"{m.name}_async" for m in methods}


def _declaration(
    stub: str,
    interface: Interface,
    form: Form,
    device_moves: bool,
    methods: Sequence[Method],
) -> str:
    names = Group("(", tuple(f'"{m.name}"' for m in methods), ")", lone_comma=True)
    items: list[Node] = [
        f"abi={STUB_ABI}",
        f'digest="{interface.digest}"',
        f"source={string(f'{interface.module}:{interface.qualname}')}",
        f'form="{form}"',
        f"device_moves={device_moves}",
        Seq(("methods=", names)),
    ]
    return lay(Seq(("STUB = ", Group(f"{stub}(", tuple(items), ")"))), 0, 0, 100)


def _refuse_unscriptable(interface: Interface, methods: Sequence[Method]) -> None:
    for method in methods:
        for argument in method.arguments:
            if argument.kind in (Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY):
                continue
            kind = argument.kind.name.lower().replace("_", "-")
            raise InterfaceError(
                f"{interface.name}.{method.name}: '{argument.name}' is {kind}, "
                "and TorchScript has no such parameters",
                how="name every argument in the interface, or generate an eager stub (--eager)",
                file=interface.file,
                line=interface.line,
            )
