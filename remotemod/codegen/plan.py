"""Decide everything in a stub's text, so that the templates only lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remotemod.codegen.imports import Imports
from remotemod.codegen.layout import Group, Node, Seq, explode, statement
from remotemod.codegen.literals import string
from remotemod.codegen.mypy_settings import checker_settings
from remotemod.codegen.named_tuples import Conversions
from remotemod.codegen.operator_text import OperatorPlan, plan_operator
from remotemod.codegen.remote_function import RemoteFunction, plan_remote_function
from remotemod.codegen.reserved import RESERVED
from remotemod.codegen.schema import SchemaWriter
from remotemod.codegen.scriptable import CONSTRUCTORS, refuse_unscriptable
from remotemod.codegen.signatures import (
    Locals,
    Signatures,
    TextFunction,
    by_name,
    has_opaque_defaults,
    passed,
)
from remotemod.interface.model import Interface, Method
from remotemod.interface.naming import stub_class_name
from remotemod.interface.types import FutureType, Symbol
from remotemod.stub.declaration import Form
from remotemod.stub.versions import STUB_ABI
from remotemod.version import VERSION

__all__ = ["MethodPlan", "StubPlan", "plan_stub"]

_TOP_LEVEL = ("STUB",)


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """One method's pair of caller functions, the function that runs it, and, if scripted, its operators."""

    name: str
    doc: str | None
    definition: str
    async_definition: str
    call: tuple[str, ...]
    submit: tuple[str, ...]
    remote: RemoteFunction
    operator: OperatorPlan | None


@dataclass(frozen=True, slots=True)
class StubPlan:
    """One stub file.

    ``flags`` are those of the command that regenerates it. ``injected`` maps names in the text to the classes
    that no import can reach (in functions, or in ``__main__``): the loader injects them.
    ``operators`` is the assignment of the operators' namespace.
    """

    version: str
    source: str
    flags: str
    interface: Interface
    form: Form
    class_name: str
    class_doc: str | None
    methods: tuple[MethodPlan, ...]
    conversions: tuple[TextFunction, ...]
    operators: str | None
    type_checking: tuple[str, ...]
    reserved: tuple[str, ...]
    declaration: str
    import_sections: tuple[tuple[str, ...], ...]
    checking_lines: tuple[str, ...]
    injected: dict[str, Symbol]
    names: dict[str, str]


def plan_stub(
    interface: Interface,
    *,
    form: Form | None = None,
    device_moves: bool = True,
    source: str | None = None,
    version: str = VERSION,
) -> StubPlan:
    """Work out the stub of ``interface``.

    Args:
        interface: the interface to generate for.
        form: eager, or scripted for TorchScript; by default scripted where TorchScript has checked the interface.
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
    operators = None
    if form == "scripted":
        names["is_scripting"] = imports.abi("is_scripting")
        names["OPS"] = imports.claim("OPS")
        operators = f"{names['OPS']} = {imports.module('torch')}.ops.remotemod_{interface.digest}"
    signatures = Signatures(imports, evaluated=form == "scripted")
    conversions, schemas = Conversions(signatures), SchemaWriter(imports)
    plans = tuple(
        _plan_method(m, signatures, conversions, schemas, names.get("OPS"), device_moves)
        for m in methods
    )
    checking = tuple(imports.checking_lines())
    if checking:
        imports.name("typing", "TYPE_CHECKING")
    return StubPlan(
        version=version,
        source=source or interface.target,
        flags=_flags(interface, form, device_moves),
        interface=interface,
        form=form,
        class_name=class_name,
        class_doc=_text(interface.doc),
        methods=plans,
        conversions=tuple(conversions.functions),
        operators=operators,
        type_checking=checker_settings(methods),
        reserved=tuple(m.name for m in interface.remote_methods if m.name in RESERVED),
        declaration=_declaration(
            names["Stub"], class_name, interface, device_moves, plans, schemas
        ),
        import_sections=tuple(tuple(s) for s in imports.runtime_lines()),
        checking_lines=checking,
        injected=imports.injected,
        names=names,
    )


def _plan_method(
    method: Method,
    signatures: Signatures,
    conversions: Conversions,
    schemas: SchemaWriter,
    operators: str | None,
    device_moves: bool,
) -> MethodPlan:
    imports = signatures.imports
    names = Locals(imports, (a.name for a in method.arguments))
    me = names.local("self")
    returns = signatures.type(method.returns) if method.annotated else None
    future = signatures.type(FutureType(method.returns))
    prepared: tuple[str, ...] = ()
    arguments = passed(method)
    if has_opaque_defaults(method):
        args, kwargs = names.local("args"), names.local("kwargs")
        dropped = signatures.drop_omitted(method, by_name)
        prepared = (statement(Seq((f"{args}, {kwargs} = ", dropped)), 8),)
        arguments = (f"*{args}", f"**{kwargs}")
    travels: tuple[Node, ...] = (f'"{method.name}"', *arguments)
    call, submit = (
        (*prepared, statement(Seq(("return ", Group(f"{me}.{verb}(", travels, ")"))), 8))
        for verb in ("_call", "_submit")
    )
    return MethodPlan(
        name=method.name,
        doc=_text(method.doc),
        definition=signatures.define(method.name, [me], method.arguments, returns, 4),
        async_definition=signatures.define(
            f"{method.name}_async", [me], method.arguments, future, 4
        ),
        call=call,
        submit=submit,
        remote=plan_remote_function(
            method,
            imports.claim(f"_remote_{method.name}"),
            signatures,
            device_moves=device_moves,
            make=conversions.make if operators else None,
        ),
        operator=plan_operator(method, operators, me, signatures, conversions, schemas)
        if operators
        else None,
    )


def _user_names(methods: Sequence[Method]) -> set[str]:
    names = {a.name for m in methods for a in m.arguments}
    return names | {m.name for m in methods} | {f"{m.name}_async" for m in methods}


def _declaration(
    stub: str,
    class_name: str,
    interface: Interface,
    device_moves: bool,
    methods: Sequence[MethodPlan],
    schemas: SchemaWriter,
) -> str:
    functions = Group("{", tuple(f'"{m.name}": {m.remote.name}' for m in methods), "}")
    items: list[Node] = [
        class_name,
        f"abi={STUB_ABI}",
        f"interface={string(interface.target)}",
        f'digest="{interface.digest}"',
        Seq(("methods=", functions)),
    ]
    operators = tuple(m.operator.declaration for m in methods if m.operator)
    if operators:
        items.append(Seq(("operators=", Group("[", operators, "]"))))
    if schemas.classes:
        classes = tuple(f'"{name}": {cls}' for name, cls in schemas.classes.items())
        items.append(Seq(("classes=", Group("{", classes, "}"))))
    if schemas.fields:
        fields = tuple(f'"{name}": {string(text)}' for name, text in schemas.fields.items())
        items.append(Seq(("fields=", Group("{", fields, "}"))))
    if not device_moves:
        items.append("device_moves=False")
    return f"STUB = {explode(Group(f'{stub}(', tuple(items), ')'), 0)}"


def _flags(interface: Interface, form: Form, device_moves: bool) -> str:
    """The flags of ``remotemod gen`` that differ from its defaults for the interface."""
    natural = "scripted" if interface.scriptable else "eager"
    flags = [
        *([f"--{form}"] if form != natural else []),
        *([] if device_moves else ["--no-device-moves"]),
    ]
    return "".join(f" {flag}" for flag in flags)


def _text(doc: str | None) -> str | None:
    """A docstring, or None where it is blank."""
    return doc if doc and doc.strip() else None
