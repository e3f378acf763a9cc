"""A value with its tensors beside it, by which both sides of a process boundary follow the same gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from remotemod.errors import GraphError
from remotemod.torch_compat.script import is_script_module
from remotemod.trees.paths import path_to
from remotemod.trees.walk import Walk

__all__ = ["Enumerated", "Followed"]


class Enumerated(NamedTuple):
    """A value that may not have its tensors in the same order elsewhere, or holds what cannot be entered.

    Attributes:
        value: the value; for a call its arguments as ``(args, kwargs)``.
        tensors: those that gradients follow, then those that the receiver has as parameters of its own.
        followed: the number of the former.
        is_call: whether these are arguments, and not a result.
        process: which process has made this.
    """

    value: Any
    tensors: Sequence[Tensor]
    followed: int
    is_call: bool
    process: int


class Followed:
    """Tells, while a value is turned into bytes, whether a tensor that is met is among those that gradients follow.

    Args:
        enumerated: the value.
    """

    __slots__ = ("_enumerated", "_ids")

    def __init__(self, enumerated: Enumerated) -> None:
        self._enumerated = enumerated
        self._ids = frozenset(map(id, enumerated.tensors))

    def demand(self, tensor: Tensor, holder: Any = None) -> None:
        """Refuse a tensor whose gradient would be lost.

        Args:
            tensor: what is about to travel.
            holder: what it was met in, which is named instead.

        Raises:
            GraphError: it requires grad, and was met where the walk did not come.
        """
        if not tensor.requires_grad or id(tensor) in self._ids or nn.parameter.is_lazy(tensor):
            return
        path = self._path_to(tensor if holder is None else holder) or self._name
        raise GraphError(
            f"the gradient of {path} would be lost: it requires grad, and is inside of what can only be pickled whole "
            "(an object with a __reduce__ of its own, a compiled module, a global variable of a function). Pass the "
            "tensor by itself or in a container, detach() it, or call under torch.no_grad()"
        )

    def demand_all(self, value: Any) -> None:
        """Refuse a scripted module among the arguments that the walk has not found, if a gradient would be lost.

        Args:
            value: what is about to travel as a whole; anything else is let through.

        Raises:
            GraphError: as for one tensor.
        """
        if not self._enumerated.is_call or not is_script_module(value):
            return
        if all(value is not known for known in Walk(self._enumerated.value).scripted()):
            for parameter in value.parameters():
                self.demand(parameter, value)

    @property
    def _name(self) -> str:
        return "an argument" if self._enumerated.is_call else "the result"

    def _path_to(self, part: Any) -> str | None:
        if not self._enumerated.is_call:
            return path_to(part, self._enumerated.value, "result")
        args, kwargs = self._enumerated.value
        return path_to(part, args, "args") or path_to(part, kwargs, "kwargs")
