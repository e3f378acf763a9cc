"""Build a module on its owner and describe it."""

from __future__ import annotations

import itertools

from torch import nn

from remotemod.errors import InterfaceMismatch
from remotemod.owner.owner import Owner
from remotemod.requests import Build, Built
from remotemod.rpc.ref import type_name

__all__ = ["build"]


def build(owner: Owner, request: Build) -> Built:
    """Build a module and keep it.

    Args:
        owner: the owner that keeps it.
        request: the module to build, and the interface to check.

    Raises:
        ValueError: the target returned no module.
        InterfaceMismatch: the module's class is not the one that the stub was generated from.
        Exception: what the target raised.
    """
    if request.load is not None:
        owner.load(request.load)
    module = request.target(*request.args, **request.kwargs)
    if not isinstance(module, nn.Module):
        raise ValueError(
            "Expect `module_cls(*args, **kwargs)` returns an instance of <class nn.Module>, "
            f"but {request.target!r} returned {type(module)!r}."
        )
    if request.device is not None:
        module = module.to(request.device)
    if request.expected is not None:
        _check_interface(type(module), *request.expected)
    interface = None
    if request.stub is None:
        # Late: few owners describe, and reading interfaces is no part of a call.
        from remotemod.owner.describe import describe

        interface, digest = describe(module)
        if digest == request.known:
            interface = None
    ref, extension = owner.keep_module(module, request.stub)
    return Built(ref, type_name(module), _device_of(module), interface, extension)


def _device_of(module: nn.Module) -> str | None:
    members = itertools.chain(module.parameters(), module.buffers())
    first = next(members, None)
    return None if first is None else str(first.device)


def _check_interface(cls: type, module: str, qualname: str, digest: str) -> None:
    from remotemod.interface.read import read_interface

    for base in cls.__mro__:
        if (base.__module__, base.__qualname__) == (module, qualname):
            current = read_interface(base).digest
            if current != digest:
                raise InterfaceMismatch(
                    f"the stub was generated for interface {digest} of {module}:{qualname}, and the owner's "
                    f"class has {current}; regenerate the stub: remotemod gen {module}:{qualname} -o DIR"
                )
            return
