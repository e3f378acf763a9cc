"""Register the dispatcher operators through which TorchScript reaches a remote module."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import torch

from remotemod.errors import InterfaceError
from remotemod.process import Slot, slot
from remotemod.stub.declaration import REFERENCE, Declaration
from remotemod.stub.packing import ClassOf, Pack, packer
from remotemod.stub.schema import MethodSchema, dispatcher_type
from remotemod.torch_compat.forks import finish_before_exit
from remotemod.torch_compat.script import compile_all_methods, destroy_library, of_jit

__all__ = [
    "DispatcherMethod",
    "Router",
    "compile_whole",
    "define_operators",
    "export",
    "fork",
    "is_scripting",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

if TYPE_CHECKING:
    from remotemod.future import Future

    def fork(function: Callable[..., _T], *args: Any) -> Future[_T]:
        """Run a scripted function beside the caller."""

    def is_scripting() -> bool:
        """Whether TorchScript runs this."""

else:
    # Named here so that generated code imports from one place; TorchScript knows them by identity.
    fork, is_scripting = of_jit("fork"), of_jit("is_scripting", default=lambda: False)


def export(method: _F) -> _F:
    """Mark a method for compilation with its module, though nothing scripted calls it."""
    mark = of_jit("export", default=None)
    if mark is not None:
        mark(method)
    return method


def compile_whole(handle: Any) -> None:
    """Compile all methods of a handle.

    Of a submodule that is typed by an interface TorchScript compiles the interface's methods alone, and reuses the result
    for every handle of the class: the asynchronous forms would be missing when one is scripted by itself.
    """
    compile_all_methods(handle)


class DispatcherMethod(NamedTuple):
    """One method of an interface, for the dispatcher.

    Attributes:
        name: the method's name.
        arguments: the dispatcher's schema of its arguments.
        result: the dispatcher's schema of its result.
        pack: converts the operator's arguments to those that are sent.
    """

    name: str
    arguments: str
    result: str
    pack: Pack

    @staticmethod
    def of(
        name: str, schema: MethodSchema, keywords: Sequence[str], class_of: ClassOf
    ) -> DispatcherMethod:
        """The dispatcher's form of a method.

        Args:
            name: the method's name.
            schema: its types.
            keywords: the names of its arguments that are keyword-only, empty for the others.
            class_of: finds the class of a named tuple.
        """
        return DispatcherMethod(
            name,
            ", ".join(f"{dispatcher_type(tree)} {argument}" for argument, tree in schema.arguments),
            dispatcher_type(schema.result),
            packer([tree for _, tree in schema.arguments], keywords, class_of),
        )


class Router(Protocol):
    """The remote modules behind the references that scripted callers hold."""

    def call(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the method and return its result."""

    def submit(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Start the method and return a number to collect the result with."""

    def collect(self, call: int) -> Any:
        """Wait for a started method; each number can be collected once."""


_LOCK: Slot[threading.Lock] = slot(
    "guards the defining of operators", threading.Lock, in_child="new"
)
_LIBRARIES: Slot[dict[str, Any]] = slot("the operators of each interface", dict, lasting=True)


def define_operators(
    stub: Declaration, operators: Sequence[DispatcherMethod], router: Router
) -> None:
    """Define ``method``, ``method_submit`` and ``method_collect`` for each method, once a namespace.

    Args:
        stub: the stub's declaration; its digest names the namespace, so equal interfaces share one.
        operators: its methods.
        router: the router that the operators call.

    Raises:
        InterfaceError: torch refuses a schema.
    """
    with _LOCK.value:
        if stub.namespace in _LIBRARIES.value:
            return
        library = _library(stub.namespace)
        try:
            for operator in operators:
                _define(library, operator, router)
        except RuntimeError as error:
            destroy_library(library)
            raise InterfaceError(
                f"{stub.interface}: torch cannot express this interface as operators: {error}",
                how="simplify the types of the interface, or leave it out for an eager stub",
            ) from error
        _LIBRARIES.value[stub.namespace] = library


def _library(namespace: str) -> Any:
    make: Any = torch.library.Library  # untyped in torch
    return make(namespace, "DEF")


def _define(library: Any, operator: DispatcherMethod, router: Router) -> None:
    method, pack = operator.name, operator.pack
    finish = _plain if operator.result == "Any" else _unchanged

    def call(ref: str, *values: Any) -> Any:
        args, kwargs = pack(*values)
        return finish(router.call(ref, method, args, kwargs))

    def submit(ref: str, *values: Any) -> int:
        args, kwargs = pack(*values)
        finish_before_exit()  # a thread of TorchScript's will collect it
        return router.submit(ref, method, args, kwargs)

    def collect(call: int) -> Any:
        return finish(router.collect(call))

    arguments = ", ".join(filter(None, (f"str {REFERENCE}", operator.arguments)))
    result = f"({operator.result})"  # a tuple stays one value instead of several
    kernels = (
        (f"{method}({arguments}) -> {result}", method, call),
        (f"{method}_submit({arguments}) -> int", f"{method}_submit", submit),
        (f"{method}_collect(int call) -> {result}", f"{method}_collect", collect),
    )
    for schema, name, kernel in kernels:
        # Without this TorchScript takes the call for a pure function: it drops calls with an unused
        # result, and merges two that look alike.
        library.define(schema, "CONSERVATIVE")
        # Implicit: the call makes its own nodes of the graph, so torch need not warn that they are missing.
        library.impl(name, kernel, "CompositeImplicitAutograd")


def _unchanged(value: Any) -> Any:
    return value


def _plain(value: Any) -> Any:
    """``value`` with plain tuples for named ones: an ``Any`` has the type that its value shows."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return list(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
