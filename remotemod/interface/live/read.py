"""Read interfaces from live classes and modules: what they are now, whatever source says."""

from __future__ import annotations

import functools
import inspect
import linecache
import re
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from remotemod.errors import InterfaceError
from remotemod.interface.defaults import from_value
from remotemod.interface.live.annotations import TypeReader
from remotemod.interface.live.own_annotations import signature_of
from remotemod.interface.live.script_module import read_script
from remotemod.interface.live.type_checking import checked_imports
from remotemod.interface.model import Argument, Default, Interface, Kind, Method, Origin
from remotemod.interface.selection import NO_FORWARD, method_order
from remotemod.interface.type_comments import with_commented_types
from remotemod.interface.types import ANY
from remotemod.torch_compat.script import is_script_module

__all__ = ["live_signatures", "read_live", "read_live_module"]


def read_live(target: object) -> Interface:
    """The interface of a live class or module."""
    if is_script_module(target):
        return read_script(target, _python_forward)
    cls, origin = _classify(target)
    methods = []
    for name, function in _functions(target, cls, origin).items():
        try:
            methods.append(_read_method(name, function, cls))
        except (ValueError, TypeError) as error:
            if name == "forward":
                raise _unreadable(
                    cls, f"the signature of {cls.__qualname__}.forward: {error}"
                ) from error
    if not methods or methods[0].name != "forward":
        file, line = _place(cls)
        raise InterfaceError(
            f"{cls.__qualname__} has no forward", how=NO_FORWARD, file=file, line=line
        )
    file, line = _place(cls)
    return Interface(
        cls.__name__,
        cls.__module__,
        cls.__qualname__,
        origin,
        tuple(methods),
        _doc(cls.__dict__.get("__doc__")),
        file,
        line,
    )


def read_live_module(module: ModuleType) -> list[Interface]:
    """All interfaces and module classes that a live module itself defines and that have a forward."""
    found = []
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            try:
                found.append(read_live(value))
            except InterfaceError:
                continue  # a container, a helper class: no interface
    return found


def live_signatures(target: object) -> dict[str, inspect.Signature]:
    """The signature of each method of ``target``, without ``self``, with its live annotations and defaults."""
    if is_script_module(target):
        return {m.name: _as_signature(m) for m in read_live(target).methods}
    cls, origin = _classify(target)
    functions = _functions(target, cls, origin)
    return {name: _signature(function) for name, function in functions.items()}


def _classify(target: object) -> tuple[type, Origin]:
    cls = target if isinstance(target, type) else type(target)
    if "__torch_script_interface__" in vars(cls):
        return cls, "interface"
    if cls.__dict__.get("_is_protocol", False):
        return cls, "protocol"
    if issubclass(cls, nn.Module) and cls is not nn.Module:
        return cls, "module"
    file, line = _place(cls)
    raise InterfaceError(
        f"{cls.__qualname__} is neither an nn.Module, a typing.Protocol nor a torch.jit.interface",
        how="derive it from torch.nn.Module, or name a class that is",
        file=file,
        line=line,
    )


def _functions(target: object, cls: type, origin: Origin) -> dict[str, Any]:
    """The callables behind the interface's methods; a bound one has no self to take away."""
    owners = _owners(cls, origin)
    hidden = vars(nn.Module) if origin == "module" else ()
    own: Mapping[str, object] = {} if isinstance(target, type) else vars(target)
    functions: dict[str, Any] = {}
    for name in method_order([vars(owner) for owner in owners], hidden):
        declared = next((vars(o)[name] for o in owners if name in vars(o)), None)
        if name == "forward" and callable(own.get(name)):
            functions[name] = own[name]
        elif isinstance(declared, functools.partialmethod):
            functions[name] = _Unbound(declared.__get__(None, cls))
        elif _is_method(declared):
            functions[name] = _Unbound(declared)
    return functions


class _Unbound:
    """A function that still takes self first."""

    def __init__(self, function: object) -> None:
        self.function: Any = function


def _owners(cls: type, origin: Origin) -> list[type]:
    owners = []
    for base in cls.__mro__:
        if base is nn.Module:
            break
        if origin == "protocol" and not base.__dict__.get("_is_protocol", False):
            continue
        if base is not object and base.__module__ not in ("typing", "typing_extensions"):
            owners.append(base)
    return owners


def _is_method(value: object) -> bool:
    if isinstance(value, staticmethod | classmethod) or not callable(value):
        return False
    return inspect.isfunction(inspect.unwrap(value))


def _signature(function: Any) -> inspect.Signature:
    if not isinstance(function, _Unbound):
        return signature_of(function)
    signature = signature_of(function.function)
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        parameters = parameters[1:]
    return signature.replace(parameters=parameters)


def _read_method(name: str, function: Any, cls: type) -> Method:
    signature = _signature(function)
    inner = inspect.unwrap(function.function if isinstance(function, _Unbound) else function)
    reader = TypeReader(*_namespaces(_within_partial(inner), cls))
    empty = inspect.Parameter.empty
    arguments = tuple(
        Argument(
            p.name,
            ANY if p.annotation is empty else reader.read(p.annotation),
            Kind(int(p.kind)),
            None if p.default is empty else from_value(p.default),
            p.annotation is not empty,
        )
        for p in signature.parameters.values()
    )
    annotated = signature.return_annotation is not empty
    returns = reader.read(signature.return_annotation) if annotated else ANY
    method = Method(name, arguments, returns, annotated, _doc(getattr(inner, "__doc__", None)))
    return with_commented_types(method, lambda: _source(_within_partial(inner)), reader.read)


def _source(function: Any) -> str:
    """A function's text; empty where there is none or where no line of it can hold a type."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    if not any("type:" in line for line in lines[:200]):  # inspect tokenizes all of it
        return ""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def _within_partial(function: Any) -> Any:
    """The function that a ``partialmethod`` was made of, whose names its annotations are written in."""
    for name in ("_partialmethod", "__partialmethod__"):
        made = getattr(function, name, None)
        if isinstance(made, functools.partialmethod):
            return inspect.unwrap(made.func)
    return function


def _namespaces(function: Any, cls: type) -> list[Mapping[str, object]]:
    """Where the names in a function's text annotations are looked up, nearest first."""
    function = getattr(function, "__func__", function)
    owner = next((c for c in cls.__mro__ if function in vars(c).values()), cls)
    closure = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    module = sys.modules.get(getattr(function, "__module__", None) or owner.__module__)
    return [
        vars(owner),
        closure,
        getattr(function, "__globals__", {}),
        vars(module) if module is not None else {},
        checked_imports(module) if module is not None else {},
    ]


def _python_forward(cls: type) -> Method | None:
    """The forward of a script module's original class."""
    try:
        return read_live(cls).method("forward")
    except InterfaceError:
        return None


def _as_signature(method: Method) -> inspect.Signature:
    empty = inspect.Parameter.empty
    parameters = [
        inspect.Parameter(
            a.name,
            inspect._ParameterKind(a.kind.value),
            default=empty if a.default is None else _value(a.default),
            annotation=str(a.type) if a.annotated else empty,
        )
        for a in method.arguments
    ]
    return inspect.Signature(
        parameters, return_annotation=str(method.returns) if method.annotated else empty
    )


def _value(default: Default) -> object:
    """The default itself, which TorchScript reads where it compiles a handle; or what it looks like."""
    if default.form == "literal":  # written by from_value, of what a schema had
        return eval(default.text, {})
    return _Shown(default.shown or default.text)


class _Shown:
    """A default that is shown but whose value only the owner has."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _doc(doc: object) -> str | None:
    return inspect.cleandoc(doc) if isinstance(doc, str) else None


def _unreadable(cls: type, what: str) -> InterfaceError:
    file, line = _place(cls)
    return InterfaceError(
        f"cannot read {what}", how="give forward a plain def", file=file, line=line
    )


def _place(cls: type) -> tuple[str | None, int | None]:
    """Where a class stands, for messages. inspect would parse the whole file for each class in it."""
    try:
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None, None
    lines = linecache.getlines(file) if file else []
    heading = re.compile(rf"\s*class\s+{cls.__name__}\b")
    # The file may be shorter than it was when the class was made.
    last = min(_first_line_inside(cls, file, len(lines)), len(lines))
    for number in (*range(last, 0, -1), *range(len(lines), last, -1)):
        if heading.match(lines[number - 1]):
            while number > 1 and lines[number - 2].lstrip().startswith("@"):
                number -= 1
            return file, number
    return file, None


def _first_line_inside(cls: type, file: str | None, default: int) -> int:
    """The first line of the class's methods that stand in ``file``."""
    values = [inspect.unwrap(value) for value in vars(cls).values() if callable(value)]
    codes = [code for value in values if (code := getattr(value, "__code__", None)) is not None]
    return min((c.co_firstlineno for c in codes if c.co_filename == file), default=default)
