"""Handles under ``torch.fx``: leaves whose method calls become nodes of the traced graph."""

from __future__ import annotations

from typing import Any

from remotemod.errors import RemoteModError
from remotemod.torch_compat.tracing import first_proxy

__all__ = ["symbolic_call"]


def symbolic_call(handle: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The node of a method's call whose arguments are in the traced graph; None where none of them is.

    Args:
        handle: the remote module.
        method: the name of the called method.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Raises:
        RemoteModError: the handle is no submodule of the traced model, so that its graph cannot name it.
    """
    proxy = first_proxy((args, kwargs))
    if proxy is None:
        return None
    tracer: Any = proxy.tracer
    try:
        path = tracer.path_of_module(handle)
    except (AttributeError, NameError):
        raise RemoteModError(
            f"torch.fx traces a model that calls {method} of a remote module on '{handle.on}' which is no submodule "
            "of it: assign the remote module to an attribute of the model (self.part = …), or trace with a Tracer "
            "whose is_leaf_module is true for the module that calls it"
        ) from None
    owner = tracer.create_proxy("get_attr", path, (), {})
    return tracer.create_proxy("call_method", method, (owner, *args), kwargs)
