"""What an owner tells of a module whose interface its caller cannot know."""

from __future__ import annotations

import weakref
from typing import Any

from torch import nn

from remotemod.interface.model import Interface
from remotemod.interface.read import read_interface
from remotemod.process import Slot, slot
from remotemod.torch_compat.script import is_script_module

__all__ = ["describe"]

_KNOWN: Slot[weakref.WeakKeyDictionary[type, tuple[object, Interface, str]]] = slot(
    "interfaces of classes, and the forward that they were read with", weakref.WeakKeyDictionary
)


def describe(module: nn.Module) -> tuple[Interface, str]:
    """The interface of a module, and its digest; modules of one class share it unless they have functions of their own."""
    cls = type(module)
    if is_script_module(module) or any(map(_is_function, vars(module).values())):
        interface = read_interface(module)
        return interface, interface.digest
    known = _KNOWN.value.get(cls)
    if known is None or known[0] is not cls.forward:  # somebody has replaced the method since
        interface = read_interface(module)
        known = _KNOWN.value[cls] = cls.forward, interface, interface.digest
    return known[1:]


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, nn.Module)
