"""Let ``zero_grad()`` and ``requires_grad_()`` of a parent reach its remote children.

Torch offers no other way in: ``nn.Module`` does both by walking ``self.parameters()``, to which a remote child must
contribute nothing, and asks no child. But the walk asks each child's ``_parameters`` for its items, and whose walk it
is stands in the frames above: those two methods' own code objects are looked for, and nothing else. It costs about a
microsecond a walk. Before the first handle is made, a real walk shows whether this torch and this Python go about it
so; where they do not, a warning says it. A user's own walk over ``parameters()`` finds nothing
remote.
"""

from __future__ import annotations

import functools
import sys
import types
import warnings
import weakref
from collections.abc import ItemsView, Mapping
from typing import Any

from torch import nn

from remotemod.process import cached
from remotemod.torch_compat.modules import new_state
from remotemod.torch_compat.private import Private
from remotemod.torch_compat.tracing import leave_to_python

__all__ = ["RemoteParameters", "check_walks", "metadata_of_load"]


def _code(method: str) -> types.CodeType | None:
    return getattr(getattr(nn.Module, method, None), "__code__", None)


def _inner(method: str) -> list[types.CodeType]:
    """The functions that a method defines inside of itself."""
    code = _code(method)
    constants = () if code is None else code.co_consts
    return [constant for constant in constants if isinstance(constant, types.CodeType)]


# The method's code, the argument that its frame holds, and what the handle calls it.
_WALKERS = {
    _code("zero_grad"): ("zero_grad", "set_to_none"),
    _code("requires_grad_"): ("requires_grad_", "requires_grad"),
}
# Where every walk comes through first: the function that named_parameters() asks each module with.
_ASKERS = set(_inner("named_parameters"))
_LOADERS = {code for code in _inner("load_state_dict") if "metadata" in code.co_freevars}
# From there to the method lie three generators of torch's, and those of overrides of parameters().
_REACH = 12


class RemoteParameters(dict[str, "nn.Parameter | None"]):
    """The ``_parameters`` of a handle: empty, for ordinary walks.

    Args:
        handle: the handle.
        own: parameters of a user's subclass, in this process.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: nn.Module, own: Mapping[str, nn.Parameter | None]) -> None:
        super().__init__(own)
        self._handle = weakref.ref(handle)

    @leave_to_python  # compiled code could not look at frames
    def items(self) -> ItemsView[str, nn.Parameter | None]:  # type: ignore[override]
        """The handle's own parameters; has the remote ones treated where a parent's are."""
        frame = sys._getframe(1)
        if frame.f_code in _ASKERS:
            self._treat(frame)
        return super().items()

    def __reduce__(self) -> Any:
        # It is sent as a plain dict.
        return dict, (dict(self),)

    def _treat(self, frame: types.FrameType | None) -> None:
        for _ in range(_REACH):
            frame = frame and frame.f_back
            if frame is None:
                return
            walker = _WALKERS.get(frame.f_code)
            if walker is not None:
                method, argument = walker
                handle: Any = self._handle()
                # A handle's own method has been to the owner already, and does not walk.
                if handle is not None:
                    getattr(handle, method)(frame.f_locals[argument])
                return


def metadata_of_load() -> Mapping[str, Any]:
    """The versions in the state that a parent's ``load_state_dict`` is loading; empty where nobody is.

    Torch passes a child its own entry alone, and the entries of a remote child's submodules to no module.
    """
    frame: types.FrameType | None = sys._getframe(1)
    for _ in range(_REACH):
        if frame is None:
            break
        if frame.f_code in _LOADERS:
            return frame.f_locals["metadata"] or {}
        frame = frame.f_back
    return {}


class _Child(nn.Module):
    """A child that records the walks of its parent that reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached: list[tuple[str, Any]] = []
        vars(self)["_parameters"] = RemoteParameters(self, {})

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.reached.append(("zero_grad", set_to_none))

    def requires_grad_(self, requires_grad: bool = True) -> _Child:
        self.reached.append(("requires_grad_", requires_grad))
        return self

    def _load_from_state_dict(self, *args: Any) -> None:
        self.reached.append(("load_state_dict", dict(metadata_of_load())))


def _reached_by(walk: str) -> list[tuple[str, Any]]:
    """The calls that a walk of its parent makes on a child."""
    parent, child = nn.Module(), _Child()
    parent.add_module("child", child)
    if walk == "load_state_dict":
        parent.load_state_dict(new_state({}, {"child.inner": {"version": 7}}), strict=False)
    else:
        getattr(parent, walk)(False)
    return child.reached


def _passes(walk: str, expected: Any) -> bool:
    if _reached_by(walk) != [(walk, expected)]:
        raise AttributeError(f"nn.Module.{walk} walks otherwise")
    return True


_WALKS = {
    walk: Private(
        f"torch.nn.Module.{walk}, its frames",
        relied_on=relied_on,
        without=without,
        find=functools.partial(_passes, walk, expected),
    )
    for walk, expected, relied_on, without in (
        (
            "zero_grad",
            False,
            "walks over named_parameters(), which asks each child's _parameters for items()",
            "a parent's zero_grad() does not reach its remote children: call theirs, or the optimizer's",
        ),
        (
            "requires_grad_",
            False,
            "walks over parameters(), which asks each child's _parameters for items()",
            "a parent's requires_grad_() does not reach its remote children: call theirs",
        ),
        (
            "load_state_dict",
            {"child.inner": {"version": 7}},
            "has the state's metadata in a variable of the function that loads children",
            "a parent's load_state_dict() forgets the versions of a remote child's submodules: load the child's own",
        ),
    )
}


@cached()
def check_walks() -> None:
    """Warn, once, of each walk of a parent's that does not reach its remote children on this torch."""
    for walk in _WALKS.values():
        if not walk.is_here:
            warnings.warn(walk.complaint(), RuntimeWarning, stacklevel=5)
