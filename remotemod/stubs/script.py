"""Registers the dispatcher operators through which TorchScript reaches a remote module."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from remotemod.errors import InterfaceError
from remotemod.stubs.declaration import Stub

__all__ = ["Operator", "Router", "define_operators", "export", "fork"]

fork = torch.jit.fork
"""Named here so that generated code imports from one place; TorchScript knows it by identity."""

_F = TypeVar("_F", bound=Callable[..., Any])


def export(method: _F) -> _F:
    """Marks a method for compilation when its module is scripted, though nothing scripted calls it."""
    marked: _F = torch.jit.export(method)
    return marked


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
_LIBRARIES: dict[str, torch.library.Library] = {}


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
        library = torch.library.Library(stub.namespace, "DEF")
        try:
            for operator in operators:
                _define(library, operator, router)
        except RuntimeError as error:
            library._destroy()
            raise InterfaceError(
                f"{stub.source}: torch cannot express this interface as operators: {error}",
                how="simplify the types of the interface, or leave it out to bind an eager stub",
            ) from error
        _LIBRARIES[stub.namespace] = library


def _define(library: torch.library.Library, operator: Operator, router: Router) -> None:
    method, pack = operator.method, operator.pack

    def call(ref: str, *values: Any, **named: Any) -> Any:
        args, kwargs = pack(*values, **named)
        return router.call(ref, method, args, kwargs)

    def submit(ref: str, *values: Any, **named: Any) -> int:
        args, kwargs = pack(*values, **named)
        return router.submit(ref, method, args, kwargs)

    kernels = (
        (f"{method}{operator.arguments} -> {operator.result}", method, call),
        (f"{method}_submit{operator.arguments} -> int", f"{method}_submit", submit),
        (f"{method}_collect(int call) -> {operator.result}", f"{method}_collect", router.collect),
    )
    for schema, name, kernel in kernels:
        library.define(schema)
        library.impl(name, kernel, "CompositeExplicitAutograd")
