"""Decides everything that a stub's text says, so that the templates only lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import Group, Node, Seq, lay, statement
from remotemod.codegen.literals import string
from remotemod.codegen.mypy_settings import checker_settings
from remotemod.codegen.named_tuples import Conversion, Conversions
from remotemod.codegen.operator_text import OperatorPlan, plan_operator
from remotemod.codegen.remote_function import OwnerPlan, plan_owner
from remotemod.codegen.reserved import RESERVED
from remotemod.codegen.scriptable import CONSTRUCTORS, refuse_unscriptable
from remotemod.codegen.signatures import Locals, Signatures
from remotemod.codegen.torch_rpc_path import NativePlan, plan_native
from remotemod.interface.model import Interface, Method
from remotemod.interface.naming import stub_class_name
from remotemod.interface.types import FutureType, Symbol
from remotemod.stub.declaration import STUB_ABI, Form
from remotemod.version import VERSION

__all__ = ["MethodPlan", "StubPlan", "plan_stub"]

_TOP_LEVEL = ("STUB", "OPERATORS", "REMOTE_METHODS", "_stub")


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """One method's pair of caller functions, its owner function and, if scripted, its operators."""

    name: str
    doc: str | None
    definition: str
    async_definition: str
    call: tuple[str, ...]
    submit: str
    owner: OwnerPlan
    operator: OperatorPlan | None
    native: NativePlan | None


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
    conversions: tuple[Conversion, ...]
    natives: tuple[MethodPlan, ...]
    type_checking: tuple[str, ...]
    left_out: tuple[str, ...]
    declaration: str
    import_sections: tuple[tuple[str, ...], ...]
    checking_lines: tuple[str, ...]
    bound: dict[str, Symbol]
    names: dict[str, str]


def plan_stub(
    interface: Interface,
    *,
    form: Form | None = None,
    device_moves: bool = True,
    source: str | None = None,
    version: str = VERSION,
) -> StubPlan:
    """Works out the stub of ``interface``.

    Args:
        interface: what to generate for.
        form: eager, or scripted for TorchScript; by default scripted for what TorchScript vouches for.
        device_moves: whether the owner's functions move tensors to the module's device and back.
        source: the ``TARGET`` that the header names; by default the interface's own.
        version: the version that the header names.

    Raises:
        InterfaceError: the form cannot express a method's signature.
    """
    form = form or ("scripted" if interface.scriptable else "eager")
    methods = [m for m in interface.remote_methods if m.name not in RESERVED]
    if form == "scripted":
        refuse_unscriptable(interface, methods)
    class_name = stub_class_name(interface)
    exact = ["TYPE_CHECKING", *(CONSTRUCTORS if form == "scripted" else ())]
    imports = Imports(_user_names(methods), [*_TOP_LEVEL, class_name], exact)
    names = {n: imports.abi(n) for n in ("RemoteModule", "Stub")}
    names |= {n: imports.builtin(n) for n in ("dict", "str")}
    names["Any"] = imports.name("typing", "Any")
    names["Callable"] = imports.name("collections.abc", "Callable")
    if form == "scripted":
        names["Operator"] = imports.abi("Operator")
        names["export"] = imports.abi("export")
        names["is_scripting"] = imports.abi("is_scripting")
    signatures = Signatures(imports, evaluated=form == "scripted")
    conversions = Conversions(signatures)
    if form == "scripted":
        names["Interface"] = imports.claim(f"_{interface.name}")
    namespace = f"remotemod_{interface.digest}" if form == "scripted" else ""
    plans = tuple(
        _plan_method(m, signatures, conversions, namespace, device_moves, names.get("Interface"))
        for m in methods
    )
    natives = tuple(p for p in plans if p.native)
    checking = tuple(imports.checking_lines())
    if checking:
        imports.name("typing", "TYPE_CHECKING")
    return StubPlan(
        version=version,
        source=source or interface.target,
        interface=interface,
        form=form,
        device_moves=device_moves,
        class_name=class_name,
        class_doc=_text(interface.doc) or f"A ``{interface.name}`` that runs on another worker.",
        methods=plans,
        conversions=tuple(conversions.functions),
        natives=natives,
        type_checking=checker_settings(methods, empty_bodies=bool(natives)),
        left_out=tuple(m.name for m in interface.remote_methods if m.name in RESERVED),
        declaration=_declaration(names["Stub"], interface, form, device_moves, plans),
        import_sections=tuple(tuple(s) for s in imports.runtime_lines()),
        checking_lines=checking,
        bound=imports.bound,
        names=names,
    )


def _plan_method(
    method: Method,
    signatures: Signatures,
    conversions: Conversions,
    namespace: str,
    device_moves: bool,
    module_interface: str | None,
) -> MethodPlan:
    imports = signatures.imports
    scripted = bool(namespace)
    names = Locals(imports, (a.name for a in method.arguments))
    me, ret = names.local("self"), names.local("ret")
    returns = signatures.type(method.returns) if method.annotated else None
    future = signatures.type(FutureType(method.returns))
    travels: tuple[Node, ...] = (f'"{method.name}"', *signatures.call_arguments(method))
    call = Group(f"{me}._remote_call(", travels, ")")
    submit = Group(f"{me}._remote_submit(", travels, ")")
    indent = 12 if scripted else 8
    if returns is None:
        lines: tuple[str, ...] = (statement(Seq(("return ", call)), indent),)
    elif scripted and returns == "None":
        lines = (statement(call, indent), "return")
    else:
        lines = (statement(Seq((f"{ret}: {returns} = ", call)), indent), f"return {ret}")
    owner = plan_owner(
        method,
        imports.claim(f"_remote_{method.name}"),
        signatures,
        positional_only=not scripted,
        device_moves=device_moves,
        interface=module_interface,
        make=conversions.make if scripted else None,
    )
    return MethodPlan(
        name=method.name,
        doc=_text(method.doc),
        definition=signatures.define(method.name, [me], method.arguments, returns, 4),
        async_definition=signatures.define(
            f"{method.name}_async", [me], method.arguments, future, 4
        ),
        call=lines,
        submit=statement(Seq(("return ", submit)), indent),
        owner=owner,
        operator=plan_operator(method, namespace, me, signatures, conversions)
        if scripted
        else None,
        native=plan_native(method, owner.name, signatures) if owner.native else None,
    )


def _user_names(methods: Sequence[Method]) -> set[str]:
    names = {a.name for m in methods for a in m.arguments}
    return names | {m.name for m in methods} | {f"{m.name}_async" for m in methods}


def _declaration(
    stub: str,
    interface: Interface,
    form: Form,
    device_moves: bool,
    methods: Sequence[MethodPlan],
) -> str:
    names = Group("(", tuple(f'"{m.name}"' for m in methods), ")", lone_comma=True)
    items: list[Node] = [
        f"abi={STUB_ABI}",
        f'digest="{interface.digest}"',
        f"source={string(interface.target)}",
        f'form="{form}"',
        f"device_moves={device_moves}",
        Seq(("methods=", names)),
    ]
    native = tuple(f'"{m.name}"' for m in methods if m.native)
    if native:
        items.append(Seq(("native=", Group("(", native, ")", lone_comma=True))))
    return lay(Seq(("STUB = ", Group(f"{stub}(", tuple(items), ")"))), 0, 0, 100)


def _text(doc: str | None) -> str | None:
    """A docstring that says something."""
    return doc if doc and doc.strip() else None
