"""Registers the dispatcher operators through which TorchScript reaches a remote module."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch

from remotemod.errors import InterfaceError
from remotemod.stub.declaration import Stub
from remotemod.torch_compat.forks import finish_before_exit
from remotemod.torch_compat.script import compile_all_methods, destroy_library, of_jit

__all__ = [
    "Operator",
    "RRef",
    "Router",
    "compile_whole",
    "define_operators",
    "export",
    "fork",
    "is_scripting",
    "record_function",
    "rpc_async",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

if TYPE_CHECKING:
    from remotemod.future import Future

    class RRef(Generic[_T]):
        """A reference that TorchScript follows."""

        def local_value(self) -> Any:
            """The value, on its owner."""

    def rpc_async(
        to: Any, function: Callable[..., _T], args: Any, kwargs: Any, timeout: float
    ) -> Future[_T]:
        """Runs a scripted function on another worker."""

    def record_function(name: str) -> AbstractContextManager[None, None]:
        """Names what runs inside for the profiler."""

    def fork(function: Callable[..., _T], *args: Any) -> Future[_T]:
        """Runs a scripted function beside the caller."""

    def is_scripting() -> bool:
        """Whether TorchScript runs this."""

else:
    # Named here so that generated code imports from one place; TorchScript knows them by identity.
    record_function = torch.autograd.profiler.record_function
    fork, is_scripting = of_jit("fork"), of_jit("is_scripting", default=lambda: False)
    try:
        from torch.distributed.rpc import RRef, rpc_async
    except ImportError:  # a build of torch without its RPC: nothing ever takes the native path
        RRef, rpc_async = Generic[_T], None


def export(method: _F) -> _F:
    """Marks a method for compilation when its module is scripted, though nothing scripted calls it."""
    mark = of_jit("export", default=None)
    if mark is not None:
        mark(method)
    return method


def compile_whole(handle: Any) -> None:
    """Compiles all methods of a handle.

    Of a submodule that is typed by an interface TorchScript compiles the interface's methods alone, and takes what came
    of that for every handle of the class: the asynchronous forms would be missing when one is scripted by itself.
    """
    compile_all_methods(handle)


@dataclass(frozen=True)
class Operator:
    """One method of a scripted stub, as the dispatcher sees it.

    Args:
        method: the method's name.
        pack: makes ``(args, kwargs)`` as they travel out of the operator's arguments.
        arguments: the schema of the arguments, the reference to the remote module first.
        result: the schema of the result.
    """

    method: str
    pack: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]
    arguments: str
    result: str


class Router(Protocol):
    """Finds the remote module behind a reference that a scripted caller holds."""

    def call(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the method and returns its result."""

    def submit(self, ref: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Starts the method and returns a number to collect the result with."""

    def collect(self, call: int) -> Any:
        """Waits for a started method; each number can be collected once."""


_LOCK = threading.Lock()
_LIBRARIES: dict[str, Any] = {}


def define_operators(stub: Stub, operators: tuple[Operator, ...], router: Router) -> None:
    """Defines ``method``, ``method_submit`` and ``method_collect`` for each operator, once a namespace.

    Args:
        stub: the stub's declaration; its digest names the namespace, so equal interfaces share one.
        operators: the stub's ``OPERATORS``.
        router: what the operators call.

    Raises:
        InterfaceError: torch refuses a schema.
    """
    with _LOCK:
        if stub.namespace in _LIBRARIES:
            return
        library = _library(stub.namespace)
        try:
            for operator in operators:
                _define(library, operator, router)
        except RuntimeError as error:
            destroy_library(library)
            raise InterfaceError(
                f"{stub.source}: torch cannot express this interface as operators: {error}",
                how="simplify the types of the interface, or leave it out to bind an eager stub",
            ) from error
        _LIBRARIES[stub.namespace] = library


def _library(namespace: str) -> Any:
    make: Any = torch.library.Library  # untyped in torch
    return make(namespace, "DEF")


def _define(library: Any, operator: Operator, router: Router) -> None:
    method, pack = operator.method, operator.pack
    finish = _plain if operator.result == "(Any)" else _as_it_is

    def call(ref: str, *values: Any, **named: Any) -> Any:
        args, kwargs = pack(*values, **named)
        return finish(router.call(ref, method, args, kwargs))

    def submit(ref: str, *values: Any, **named: Any) -> int:
        args, kwargs = pack(*values, **named)
        finish_before_exit()  # a thread of TorchScript's will collect it
        return router.submit(ref, method, args, kwargs)

    def collect(call: int) -> Any:
        return finish(router.collect(call))

    kernels = (
        (f"{method}{operator.arguments} -> {operator.result}", method, call),
        (f"{method}_submit{operator.arguments} -> int", f"{method}_submit", submit),
        (f"{method}_collect(int call) -> {operator.result}", f"{method}_collect", collect),
    )
    for schema, name, kernel in kernels:
        # Without this TorchScript takes the call for a pure function: it drops calls whose result nobody
        # uses, and makes one of two that look alike.
        library.define(schema, "CONSERVATIVE")
        # Implicit: the call makes its own part of the graph, and torch need not warn that nobody does.
        library.impl(name, kernel, "CompositeImplicitAutograd")


def _as_it_is(value: Any) -> Any:
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
