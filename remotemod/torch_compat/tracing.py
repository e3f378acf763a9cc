"""Tests for whether torch is tracing, and with which of its tracers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from remotemod.errors import RemoteModError
from remotemod.process import cached
from remotemod.torch_compat.private import MISSING, Private

__all__ = [
    "FX_LEAF",
    "below_autograd",
    "first_proxy",
    "functional_modes",
    "is_symbolic",
    "is_traced",
    "leave_to_python",
]

_F = TypeVar("_F", bound=Callable[..., Any])

FX_LEAF = "torch.nn:remotemod"
"""What a handle, not its class, has as ``__module__``.

A tracer of ``torch.fx`` calls those modules and does not look inside whose ``__module__`` begins with ``torch.nn``; it
asks nothing else that a module could answer. With a dot behind it, torch.compile would take the handle for one of torch's own.
"""

_IS_SYMBOLIC = Private(
    "torch.fx._symbolic_trace.is_fx_symbolic_tracing",
    relied_on="tells whether a tracer of torch.fx runs",
    without="torch.fx takes a remote call for a constant, or fails at it; each call looks at its arguments instead",
    instead="the proxies among a call's arguments",
)
_LEAF_RULE = Private(
    "torch.fx.Tracer.is_leaf_module",
    relied_on="takes a module for a leaf whose __module__ begins with 'torch.nn'",
    without="torch.fx traces into handles, and fails there",
    find=lambda: _leaf_rule(),
)
_DISPATCH_MODES = Private(
    "torch.utils._python_dispatch._get_current_dispatch_mode_stack",
    relied_on="the modes that are on in this thread, among them those of tracers",
    without="remote calls cannot be compiled or exported",
)
_FAKE_MODE = Private(
    "torch._subclasses.fake_tensor.FakeTensorMode",
    relied_on="the mode in which torch.compile finds shapes",
    without="remote calls cannot be compiled or exported",
)
_FAKE_TENSOR = Private(
    "torch._subclasses.fake_tensor.FakeTensor",
    relied_on="a tensor without data",
    without="remote calls cannot be compiled or exported",
)
_FUNCTIONAL_MODE = Private(
    "torch._subclasses.functional_tensor.FunctionalTensorMode",
    relied_on="the mode in which torch.compile writes its graphs; one graph has one",
    without="remote calls cannot be compiled or exported",
)
_PROXY_MODE = Private(
    "torch.fx.experimental.proxy_tensor.ProxyTorchDispatchMode",
    relied_on="the mode in which calls are written into a graph",
    without="remote calls cannot be compiled or exported",
)
_BELOW_AUTOGRAD = Private(
    "torch._C._AutoDispatchBelowAutograd",
    relied_on="runs an operator's kernels below autograd",
    without="remote calls cannot be compiled or exported",
)


def is_symbolic() -> bool:
    """Whether some tracer of ``torch.fx`` may run: what each call asks first."""
    is_tracing = _IS_SYMBOLIC.found
    return True if is_tracing is MISSING else is_tracing()


def first_proxy(value: Any) -> Any:
    """The first placeholder of ``torch.fx`` in a value; None without one."""
    from torch.fx import Proxy
    from torch.fx.node import map_aggregate

    proxies: list[Any] = []

    def visit(leaf: Any) -> Any:
        if isinstance(leaf, Proxy):
            proxies.append(leaf)
        return leaf

    map_aggregate(value, visit)
    return proxies[0] if proxies else None


def _leaf_rule() -> bool:
    from torch import fx, nn

    module = nn.Module()
    vars(module)["__module__"] = FX_LEAF
    if not fx.Tracer().is_leaf_module(module, "module"):
        raise AttributeError("leaves are told otherwise")
    return True


@cached()
def _tracing_modes() -> tuple[type, ...]:
    modes = (_FAKE_MODE, _FUNCTIONAL_MODE, _PROXY_MODE)
    return tuple(mode.require(RemoteModError) for mode in modes)


def is_traced(tensors: Sequence[Any]) -> bool:
    """Whether a call with these tensors is being written into a graph, and is not to be made."""
    modes = _tracing_modes()
    if any(isinstance(mode, modes) for mode in _DISPATCH_MODES.require()()):
        return True
    fake = _FAKE_TENSOR.require()
    return any(isinstance(tensor, fake) for tensor in tensors)


def functional_modes() -> list[Any]:
    """The modes of the graphs that are being written, outermost first."""
    mode = _FUNCTIONAL_MODE.require()
    return [active for active in _DISPATCH_MODES.require()() if isinstance(active, mode)]


def below_autograd() -> Any:
    """A context in which operators run without autograd's kernels."""
    return _BELOW_AUTOGRAD.require()()


def leave_to_python(function: _F) -> _F:
    """Mark a function that compiled code must leave to Python.

    It is what ``torch.compiler.disable`` leaves on a function; that one loads the whole compiler for it. A torch that
    looks for another mark breaks graphs at a parent's ``zero_grad()``.
    """
    mark: Any = function
    mark._torchdynamo_disable = True
    return function
