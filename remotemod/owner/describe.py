"""The interface of a module that its caller cannot know."""

from __future__ import annotations

import weakref
from typing import Any

from torch import nn

from remotemod.interface.model import Interface
from remotemod.interface.read import read_interface
from remotemod.process import Slot, slot
from remotemod.torch_compat.script import is_script_module

__all__ = ["describe"]

_INTERFACES: Slot[weakref.WeakKeyDictionary[type, tuple[object, Interface, str]]] = slot(
    "interfaces of classes, and the forward that they were read with", weakref.WeakKeyDictionary
)


def describe(module: nn.Module) -> tuple[Interface, str]:
    """The interface of a module, and its digest; modules of one class share it unless they have functions of their own."""
    cls = type(module)
    if is_script_module(module) or any(map(_is_function, vars(module).values())):
        interface = read_interface(module)
        return interface, interface.digest
    described = _INTERFACES.value.get(cls)
    if described is None or described[0] is not cls.forward:  # the method was replaced since
        interface = read_interface(module)
        described = _INTERFACES.value[cls] = cls.forward, interface, interface.digest
    return described[1:]


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, nn.Module)
