"""Run a function on its owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remotemod.autograd.owner import Recorded, record
from remotemod.autograd.tensors import GraphMode
from remotemod.requests import Invoke

__all__ = ["invoke"]


def invoke(request: Invoke, keep: Callable[[Any], Any]) -> Any:
    """Run a function.

    Args:
        request: the function and its arguments.
        keep: keeps a value on the owner and returns a reference to it.

    Returns:
        The result; a reference where it stays; :class:`remotemod.autograd.owner.Recorded` where its graph
        is kept.
    """
    function, args, kwargs, stays, graph_mode = request
    if stays:
        return keep(function(*args, **kwargs))
    if graph_mode < GraphMode.KEEP:
        return function(*args, **kwargs)
    result = record(function, args, kwargs, graph_mode)
    if type(result) is Recorded and result.graph.is_of_leaves:
        return result.value  # a caller gets a copy of parameters
    return result
