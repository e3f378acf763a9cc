"""Prepare torch for archives with remote parts, whichever of the two is imported first, without importing torch."""

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
    """Hook into torch as soon as it is there: now, or at the end of its import."""
    if hasattr(sys.modules.get("torch"), "library"):  # not one that is still being imported
        _hook_into_torch()
    elif not any(isinstance(finder, _WaitsForTorch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitsForTorch())


def _hook_into_torch() -> None:
    """Everything that changes in torch; a hook is cheap, and imports what it needs when it is called."""
    _load_archives_with_remote_parts()
    _load_programs_with_remote_calls()


def _load_programs_with_remote_calls() -> None:
    """Declare the operators that stand for remote calls, which ``torch.export.load`` looks up by name."""
    from remotemod.handles.tracing.declared import declare

    declare()


def _load_archives_with_remote_parts() -> None:
    """Have ``torch.jit.load`` define the operators that an archive's remote parts are called by."""
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
    """Hooks into torch at the end of its import, and then removes itself; finding is left to the other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The other finders' spec for torch, with a loader that hooks in when the module has run."""
        if fullname != "torch":
            return None
        others = (f.find_spec(fullname, path, target) for f in sys.meta_path if f is not self)
        spec = next((spec for spec in others if spec is not None), None)
        loader: Any = None if spec is None else spec.loader
        if hasattr(loader, "exec_module"):
            run = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module
                run(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _hook_into_torch()

            loader.exec_module = exec_module
        return spec
