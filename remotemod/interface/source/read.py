"""Read interfaces from source files alone, so that code can be generated for what cannot be imported here."""

from __future__ import annotations

from collections.abc import Iterator

from remotemod.errors import InterfaceError
from remotemod.interface.absent_torch import (
    MODULE_METHODS,
    NeedsTorch,
    may_be_module,
    needs_torch,
)
from remotemod.interface.defaults import from_text
from remotemod.interface.locate import Location, locate
from remotemod.interface.model import Argument, Interface, Kind, Method, Origin
from remotemod.interface.selection import (
    MODULE_NAMES,
    NO_FORWARD,
    PROTOCOL_NAMES,
    method_order,
)
from remotemod.interface.source.bindings import Assigned, Parameter
from remotemod.interface.source.classes import (
    Base,
    absent_bases,
    ancestors,
    find_method,
    is_named,
    linearize,
)
from remotemod.interface.source.decorators import Unclear, shown_function
from remotemod.interface.source.find import classes_in, find_class, open_module
from remotemod.interface.source.program import Program
from remotemod.interface.source.scopes import ClassDef, FunctionDef, Named, Scope
from remotemod.interface.source.types import lookup_in, type_in
from remotemod.interface.type_comments import with_commented_types
from remotemod.interface.types import ANY
from remotemod.torch_compat.paths import INTERFACE_DECORATORS

__all__ = ["read_all_from_source", "read_each_from_source", "read_from_source"]

_NOT_METHODS = {
    *("property", "staticmethod", "classmethod", "cached_property", "functools.cached_property"),
    "abc.abstractproperty",
}
_PLAIN_BASES = {"object", "typing.Generic", "abc.ABC", *PROTOCOL_NAMES}


def read_from_source(target: str | Location, program: Program | None = None) -> Interface:
    """Read the interface of one class.

    Args:
        target: ``pkg.mod:Name``, ``path/to/file.py:Name``, or where these were found to be.
        program: what was read before.

    Raises:
        InterfaceError: there is no such class, or it has no interface that source can tell.
    """
    location = locate(target) if isinstance(target, str) else target
    if location.qualname is None:
        raise InterfaceError(
            f"{target!r} names a whole module, not a class",
            how=f"write {target}:Name, or read all of it with read_interfaces",
            file=str(location.file),
        )
    cls = find_class(open_module(location, program), location.qualname)
    return _read_class(cls, location.qualname)


def read_all_from_source(target: str) -> list[Interface]:
    """Read all interfaces and module classes that a module or file itself defines and that have a forward.

    A target that names one class gives that class's interface.

    Raises:
        InterfaceError: one of them cannot be read.
    """
    found = []
    for each in read_each_from_source(target):
        if isinstance(each, InterfaceError):
            raise each
        found.append(each)
    return found


def read_each_from_source(
    target: str | Location, program: Program | None = None
) -> Iterator[Interface | InterfaceError]:
    """Like :func:`read_all_from_source`; a class that cannot be read gives its error and stops nobody.

    Args:
        target: ``pkg.mod``, ``path/to/file.py``, or where these were found to be.
        program: what was read before.

    Raises:
        InterfaceError: the module itself cannot be read.
    """
    location = locate(target) if isinstance(target, str) else target
    if location.qualname is not None:
        yield read_from_source(location, program)
        return
    for cls in classes_in(open_module(location, program)):
        try:
            mro = linearize(cls)
            origin = _origin(cls, mro)
            unseen = absent_bases(mro, cls.scope.program)
            if unseen and (origin is not None or may_be_module(unseen)):
                yield _needs_torch(cls, cls.symbol.qualname, unseen)
            elif origin is not None and _has_forward(cls, origin):
                yield _read_class(cls, cls.symbol.qualname)
        except InterfaceError as error:
            yield error


def _read_class(cls: ClassDef, shown: str) -> Interface:
    mro = linearize(cls)
    origin = _origin(cls, mro)
    file, line = str(cls.scope.source.file), cls.node.line
    unseen = absent_bases(mro, cls.scope.program)
    if unseen:
        raise _needs_torch(cls, shown, unseen)
    if origin is None:
        raise InterfaceError(
            f"{shown} is neither an nn.Module, a typing.Protocol nor a torch.jit.interface"
            + _blind_spot(mro),
            how="derive it from torch.nn.Module, or name a class that is" + _remedy(mro),
            file=file,
            line=line,
        )
    owners = _owners(mro, origin)
    methods = {}
    for name in method_order([_bound(owner) for owner in owners], _hidden(mro, origin)):
        function = _inherited(owners, name)
        if function is not None and not _decorated_away(function):
            try:
                methods[name] = _read_method(name, _shown(function))
            except NeedsTorch as missing:
                raise _needs_torch(cls, f"{shown}.{name}", [str(missing)]) from None
    if "forward" not in methods:
        raise InterfaceError(
            f"{shown} has no forward" + _blind_spot(mro),
            how=NO_FORWARD + _remedy(mro),
            file=file,
            line=line,
        )
    symbol = cls.symbol
    return Interface(
        symbol.qualname.rpartition(".")[2],
        symbol.module,
        symbol.qualname,
        origin,
        tuple(methods.values()),
        cls.node.doc,
        file,
        line,
    )


def _needs_torch(cls: ClassDef, shown: str, names: list[str]) -> InterfaceError:
    return needs_torch(shown, names, str(cls.scope.source.file), cls.node.line)


def _blind_spot(mro: list[Base]) -> str:
    unseen = [str(b) for b in mro if not isinstance(b, ClassDef) and b.module not in ("", "typing")]
    return f" (no source was found for its base {', '.join(unseen)})" if unseen else ""


def _remedy(mro: list[Base]) -> str:
    own = [base for base in mro if isinstance(base, ClassDef) and not is_named(base, *MODULE_NAMES)]
    if any("self.forward =" in base.node.source for base in own):
        return "; here it is assigned to each instance, so read one live: read_interface(instance)"
    unseen = any(not isinstance(b, ClassDef) and str(b) not in _PLAIN_BASES for b in mro)
    return ", or import it and read it live: --import, live=True" if unseen else ""


def _origin(cls: ClassDef, mro: list[Base]) -> Origin | None:
    for text in cls.node.decorators:
        found = cls.scope.resolve(text) if text.replace(".", "").isidentifier() else None
        if isinstance(found, Named | FunctionDef) and str(found.symbol) in INTERFACE_DECORATORS:
            return "interface"
    if any(is_named(base, *PROTOCOL_NAMES) for base in ancestors(cls)):
        return "protocol"
    return "module" if any(is_named(base, *MODULE_NAMES) for base in mro[1:]) else None


def _owners(mro: list[Base], origin: Origin) -> list[ClassDef]:
    """The classes whose methods make up the interface: those below nn.Module, or the protocols."""
    owners = []
    for base in mro:
        if is_named(base, *MODULE_NAMES):
            break
        if isinstance(base, ClassDef) and (origin != "protocol" or _origin(base, [base]) == origin):
            owners.append(base)
    return owners


def _bound(cls: ClassDef) -> list[str]:
    return [
        name
        for name, bindings in cls.node.names.table.items()
        if not isinstance(bindings[0], Assigned) or bindings[0].value is not None
    ]


def _hidden(mro: list[Base], origin: Origin) -> list[str]:
    if origin != "module":
        return []
    module = next((base for base in mro if is_named(base, *MODULE_NAMES)), None)
    return _bound(module) if isinstance(module, ClassDef) else [*MODULE_METHODS]


def _has_forward(cls: ClassDef, origin: Origin) -> bool:
    owners = _owners(linearize(cls), origin)
    forward = _inherited(owners, "forward")
    return forward is not None and not _decorated_away(forward)


def _inherited(owners: list[ClassDef], name: str) -> FunctionDef | None:
    for owner in owners:
        if name in _bound(owner):
            return find_method(owner, name)
    return None


def _decorated_away(function: FunctionDef) -> bool:
    return any(
        d in _NOT_METHODS or d.endswith((".setter", ".getter", ".deleter"))
        for d in function.node.decorators
    )


def _shown(function: FunctionDef) -> FunctionDef:
    """The function itself, or the wrapper its decorators leave in its place."""
    try:
        return shown_function(function)
    except Unclear as unclear:
        if function.node.name != "forward":
            return function
        raise InterfaceError(
            f"the decorator @{unclear} gives {function.symbol.qualname} a signature of its own, "
            "which source alone cannot tell",
            how="let the decorator use functools.wraps, or read it live: --import, live=True",
            file=str(function.scope.source.file),
            line=function.node.line,
        ) from None


def _read_method(name: str, function: FunctionDef) -> Method:
    node, scope = function.node, function.scope
    parameters = list(node.parameters)
    if parameters and parameters[0].kind in (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD):
        parameters = parameters[1:]
    method = Method(
        name,
        tuple(_argument(parameter, scope) for parameter in parameters),
        ANY if node.returns is None else type_in(scope, node.returns),
        node.returns is not None,
        node.doc,
    )
    return with_commented_types(method, lambda: node.source, lambda text: type_in(scope, text))


def _argument(parameter: Parameter, scope: Scope) -> Argument:
    annotation, default = parameter.annotation, parameter.default
    return Argument(
        _mangled(parameter.name, scope),
        ANY if annotation is None else type_in(scope, annotation),
        parameter.kind,
        None if default is None else from_text(default, lookup_in(scope)),
        annotation is not None,
    )


def _mangled(name: str, scope: Scope) -> str:
    """A private name as Python spells it inside a class."""
    if scope.owner is None or not name.startswith("__") or name.endswith("__"):
        return name
    owner = scope.owner.node.name.lstrip("_")
    return f"_{owner}{name}" if owner else name
