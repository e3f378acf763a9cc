"""Call scripted modules whose forward is overloaded; TorchScript itself allows that to scripts alone."""

from __future__ import annotations

from typing import Any

from remotemod.torch_compat.script import has_method, is_script_module, method_names

__all__ = ["callable_form"]


def callable_form(module: Any) -> Any:
    """``module``, or a callable that runs the fitting one of its ``forward__0``, ``forward__1``, …"""
    if not is_script_module(module) or has_method(module, "forward"):
        return module
    return _Overloaded(module)


class _Overloaded:
    """A module with numbered forwards and none of the plain name, as scripting ``nn.LSTM`` makes."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = sorted(n for n in method_names(self._module) if n.startswith("forward__"))
        refusals = []
        for name in names:
            try:
                return getattr(self._module, name)(*args, **kwargs)
            except (RuntimeError, TypeError) as error:
                # Arguments that do not fit are refused before anything runs, with such a message.
                if not str(error).startswith(f"{name}() "):
                    raise
                refusals.append(str(error).split("\n")[0])
        raise TypeError("no overload of forward takes these arguments:\n" + "\n".join(refusals))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
