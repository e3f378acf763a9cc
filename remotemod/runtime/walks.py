"""Lets ``zero_grad()`` and ``requires_grad_()`` of a parent reach its remote children.

Torch offers no other way in: ``nn.Module`` does both by walking ``self.parameters()``, to which a remote child must
contribute nothing, and asks no child. But the walk asks each child's ``_parameters`` for its items, and whose walk it
is stands in the frames above: those two methods' own code objects are looked for, and nothing else. It costs about a
microsecond a walk. A torch that goes about it otherwise would be noticed by ``tests/runtime/test_citizen.py``. What
somebody does with ``parameters()`` in a method of their own is a walk like any other, and finds nothing remote.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import ItemsView, Mapping
from typing import Any

from torch import nn

__all__ = ["RemoteParameters", "metadata_of_load"]

# The method's code, the argument that its frame holds, and what the handle calls it.
_WALKERS = {
    nn.Module.zero_grad.__code__: ("zero_grad", "set_to_none"),
    nn.Module.requires_grad_.__code__: ("requires_grad_", "requires_grad"),
}
# Where every walk comes through first: the function that named_parameters() asks each module with.
_ASKERS = {
    code
    for code in nn.Module.named_parameters.__code__.co_consts
    if isinstance(code, types.CodeType)
}
# From there to the method lie three generators of torch's, and those of who overrides parameters().
_REACH = 12


class RemoteParameters(dict[str, "nn.Parameter | None"]):
    """What a handle has as ``_parameters``: nothing, for ordinary walks.

    Args:
        handle: the handle.
        own: parameters that a user's subclass of it has here.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: nn.Module, own: Mapping[str, nn.Parameter | None]) -> None:
        super().__init__(own)
        self._handle = weakref.ref(handle)

    def items(self) -> ItemsView[str, nn.Parameter | None]:  # type: ignore[override]
        """The handle's own parameters; has the remote ones treated where a parent's are."""
        frame = sys._getframe(1)
        if frame.f_code in _ASKERS:
            self._treat(frame)
        return super().items()

    # Compiled code leaves this to Python: it could not look at frames.
    items._torchdynamo_disable = True  # type: ignore[attr-defined]

    def __reduce__(self) -> Any:
        # Who looks at a handle's attributes and sends them on sends a plain dict.
        return dict, (dict(self),)

    def _treat(self, frame: types.FrameType | None) -> None:
        for _ in range(_REACH):
            frame = frame and frame.f_back
            if frame is None:
                return
            found = _WALKERS.get(frame.f_code)
            if found is not None:
                method, argument = found
                handle: Any = self._handle()
                # A handle's own method has been to the owner already, and does not walk.
                if handle is not None:
                    getattr(handle, method)(frame.f_locals[argument])
                return


_LOADERS = {
    code
    for code in nn.Module.load_state_dict.__code__.co_consts
    if isinstance(code, types.CodeType) and "metadata" in code.co_freevars
}


def metadata_of_load() -> Mapping[str, Any]:
    """The versions in the state that a parent's ``load_state_dict`` is loading; empty where nobody is.

    Torch hands a child its own entry alone, and the entries of a remote child's submodules to nobody.
    """
    frame: types.FrameType | None = sys._getframe(1)
    for _ in range(_REACH):
        if frame is None:
            break
        if frame.f_code in _LOADERS:
            return frame.f_locals["metadata"] or {}
        frame = frame.f_back
    return {}
