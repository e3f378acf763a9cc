"""The questions everyone asks of this package, answered by whichever reader the target calls for."""

from __future__ import annotations

from types import ModuleType

from remotemod.interface.live.imports import import_target
from remotemod.interface.model import Interface

__all__ = ["read_interface", "read_interfaces"]


def read_interface(target: object, *, live: bool = False) -> Interface:
    """The interface of ``target``.

    Text (``"pkg.mod:Name"``, ``"path/to/file.py:Name"``) is read from source and runs no user code;
    anything else is read as it lives: a ``torch.jit.interface``, a ``typing.Protocol``, an
    ``nn.Module`` class or instance, a ScriptModule.

    Args:
        target: text or a live object.
        live: import what the text names and read that, where source alone cannot tell.
    """
    target = _imported(target) if live else target
    if isinstance(target, str):
        from remotemod.interface.source.read import read_from_source  # needs libcst

        return read_from_source(target)
    from remotemod.interface.live.read import read_live  # needs torch

    return read_live(target)


def read_interfaces(target: object, *, live: bool = False) -> list[Interface]:
    """All interfaces and module classes of a module or file; of any other target, the one it has.

    Args:
        target: text or a live object.
        live: import what the text names and read that, where source alone cannot tell.
    """
    target = _imported(target) if live else target
    if isinstance(target, str):
        from remotemod.interface.source.read import read_all_from_source  # needs libcst

        return read_all_from_source(target)
    from remotemod.interface.live.read import read_live, read_live_module  # needs torch

    return read_live_module(target) if isinstance(target, ModuleType) else [read_live(target)]


def _imported(target: object) -> object:
    """What text names, imported; a live object is itself."""
    if not isinstance(target, str):
        return target
    return import_target(target)
