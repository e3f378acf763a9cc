"""Show the signatures of a live interface on the class that was generated for it."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

from remotemod.stub.loader import LoadedStub

__all__ = ["copied_method", "with_signatures"]


def with_signatures(
    cls: type, stub: LoadedStub, signatures: Mapping[str, inspect.Signature]
) -> type:
    """The class of a handle: the stub's, which shows the live interface's signatures.

    Generated annotations are text; the interface's own may be objects that only its author has.

    Args:
        cls: ``RemoteModule`` or a user's subclass of it; its own methods win.
        stub: the stub.
        signatures: the live signatures, without ``self``.
    """
    members: dict[str, Any] = {
        "__module__": stub.cls.__module__,
        "__doc__": stub.cls.__doc__,
        "_user_class": cls,
    }
    for name in stub.declaration.methods:
        live = signatures.get(name)
        if live is None:
            continue
        members[name] = _with_signature(stub.cls.__dict__[name], live)
        future = inspect.signature(stub.cls.__dict__[f"{name}_async"]).return_annotation
        members[f"{name}_async"] = _with_signature(
            stub.cls.__dict__[f"{name}_async"], live.replace(return_annotation=future)
        )
    bases = (stub.cls,) if issubclass(stub.cls, cls) else (cls, stub.cls)
    return type(stub.cls.__name__ if bases[0] is stub.cls else cls.__name__, bases, members)


def _with_signature(function: Callable[..., Any], live: inspect.Signature) -> Callable[..., Any]:
    """A copy of a generated method that shows another signature."""
    copied = copied_method(function, function)
    parameters = list(live.parameters.values())
    positional = inspect.Parameter.POSITIONAL_ONLY
    if not parameters or parameters[0].kind is not positional:
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD  # type: ignore[assignment]
    own = inspect.Parameter("self_" if "self" in live.parameters else "self", positional)
    copied.__signature__ = live.replace(parameters=[own, *parameters])
    return copied  # type: ignore[no-any-return]


def copied_method(function: Callable[..., Any], defaults_of: Any) -> Any:
    """A copy of a function whose defaults, and whose shown signature, another method may give.

    Args:
        function: what is copied.
        defaults_of: has the defaults, and the shown signature if there is one.
    """
    assert isinstance(function, types.FunctionType)
    copied = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        defaults_of.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(copied, function)
    del copied.__wrapped__  # type: ignore[attr-defined]  # inspect would follow it past the signature
    copied.__kwdefaults__ = defaults_of.__kwdefaults__
    if hasattr(defaults_of, "__signature__"):
        copied.__signature__ = defaults_of.__signature__  # type: ignore[attr-defined]
    return copied
