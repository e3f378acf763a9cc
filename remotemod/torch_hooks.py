"""Prepares torch for remotemod, whichever of the two is imported first, without importing torch."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["prepare_torch"]


def prepare_torch() -> None:
    """Takes all steps as soon as torch is there: now, or at the end of its import."""
    if hasattr(sys.modules.get("torch"), "library"):  # not one that is still being imported
        _take_steps()
    elif not any(isinstance(finder, _WaitsForTorch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitsForTorch())


def _take_steps() -> None:
    """All that torch is told of remotemod; a step is cheap and loads the rest when it is used."""
    _load_archives_with_remote_parts()
    _load_programs_with_remote_calls()


def _load_programs_with_remote_calls() -> None:
    """``torch.export.load`` knows the operators that stand for remote calls."""
    from remotemod.handles.tracing.declared import declare

    declare()


def _load_archives_with_remote_parts() -> None:
    """``torch.jit.load`` defines the operators that an archive's remote parts are called by."""
    from remotemod.torch_compat.script import of_jit, replace_loader

    original = of_jit("load")
    if original is None or hasattr(original, "_remotemod"):
        return

    @functools.wraps(original)
    def load(f: Any, *args: Any, **kwargs: Any) -> Any:
        from remotemod.archive.plain import prepare_for

        prepare_for(f)
        return original(f, *args, **kwargs)

    load._remotemod = True  # type: ignore[attr-defined]
    replace_loader(load)


class _WaitsForTorch(MetaPathFinder):
    """Sees torch being imported, and then goes; it leaves the finding to the others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The others' answer for torch, with a word to be had when it has been imported."""
        if fullname != "torch":
            return None
        others = (f.find_spec(fullname, path, target) for f in sys.meta_path if f is not self)
        spec = next((found for found in others if found is not None), None)
        loader: Any = None if spec is None else spec.loader
        if hasattr(loader, "exec_module"):
            run = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module
                run(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _take_steps()

            loader.exec_module = exec_module
        return spec
