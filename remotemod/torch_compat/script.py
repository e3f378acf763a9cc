"""TorchScript beyond its public functions, and where it is missing."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from remotemod.errors import BackendUnavailable, InterfaceError
from remotemod.process import Slot, cached, slot
from remotemod.torch_compat.private import MISSING, Private

__all__ = [
    "compile_all_methods",
    "compile_script",
    "destroy_library",
    "has_method",
    "interface_methods",
    "is_compiled_module",
    "is_script_error",
    "is_script_module",
    "jit",
    "load_script",
    "method_names",
    "method_schema",
    "of_jit",
    "python_class_of",
    "python_form",
    "qualified_name",
    "recursive_class",
    "replace_loader",
    "save_script",
    "script_classes",
    "without_advice",
]

_COMPILED = Private(
    "torch.jit.ScriptModule()._c",
    relied_on="the compiled module behind a scripted one: the names and schemas of its methods",
    without="the interface of a scripted module cannot be read: pass interface=",
    find=lambda: _compiled_methods(),
)
_COMPILED_CLASS = Private(
    "torch._C.ScriptModule",
    relied_on="the class of a compiled module that comes without its Python form, out of a typed reference",
    without="scripted modules cannot be built on torch_rpc",
)
_WRAP = Private(
    "torch.jit._recursive.wrap_cpp_module",
    relied_on="gives a compiled module its Python form",
    without="scripted modules cannot be built on torch_rpc",
)
_CREATE = Private(
    "torch.jit._recursive.create_script_module",
    relied_on="compiles a handle with all of its methods, though a parent types it by an interface with fewer",
    without="a handle that was a typed submodule before has no asynchronous forms when it is scripted itself",
)
_INFER_METHODS = Private(
    "torch.jit._recursive.infer_methods_to_compile",
    relied_on="names all methods of a module that are to be compiled",
    without="a handle that was a typed submodule before has no asynchronous forms when it is scripted itself",
)
_CONCRETE_TYPE = Private(
    "torch.jit.ScriptModule()._concrete_type",
    relied_on="has the Python class that a scripted module was made of",
    without="scripted remote modules cannot be sent over torch_rpc",
    find=lambda: _scripted()._concrete_type.py_class,
)
_COMPILATION_UNIT = Private(
    "torch.jit._state._python_cu",
    relied_on="knows the methods of a TorchScript interface",
    without="on torch_rpc references are typed by the stub's interface, not by the user's own",
)
_LOADER = Private(
    "torch.jit._serialization.load",
    relied_on="where torch itself finds torch.jit.load",
    without="only torch.jit.load itself knows archives with remote parts",
)
_DESTROY = Private(
    "torch.library.Library._destroy",
    relied_on="takes back the operators of an interface when torch refuses one of them",
    without="an interface that was refused once cannot be tried again in this process",
)


def jit() -> Any:
    """``torch.jit``.

    Raises:
        BackendUnavailable: this torch has no TorchScript.
    """
    module = getattr(torch, "jit", None)
    if not hasattr(module, "script"):
        raise BackendUnavailable(
            f"torch {torch.__version__} has no TorchScript (torch.jit): leave out interface= for an eager stub; "
            "torch.compile and torch.export take models with eager remote modules"
        )
    return module


def compile_script(module: Any) -> Any:
    """Compile a module or a function with TorchScript; see :func:`jit`."""
    with without_advice():
        return jit().script(module)


def save_script(module: Any, file: Any, **options: Any) -> None:
    """Save a scripted module; see :func:`jit`."""
    with without_advice():
        jit().save(module, file, **options)


def load_script(file: Any, **options: Any) -> Any:
    """Load a scripted module; see :func:`jit`."""
    with without_advice():
        return jit().load(file, **options)


def of_jit(name: str, default: Any = None) -> Any:
    """A public name of ``torch.jit``, or ``default`` where this torch has none."""
    return getattr(getattr(torch, "jit", None), name, default)


_ADVICE = "`torch[.]jit(?#remotemod)"
"""The beginning of the advice; with a comment, so that no filter of others is equal to ours and goes with it."""


class _Silence:
    """Filters of warnings that are there while any thread wants them.

    ``warnings.catch_warnings`` puts back what it found: of two threads the first to leave would take the filters from the
    other. A lock would make threads wait for each other's compilation.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._filters: list[Any] = []

    def begin(self) -> None:
        """Insert the filters, unless they are there."""
        with self._lock:
            if not self._threads:
                for category in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings("ignore", _ADVICE, category)
                self._filters = list(warnings.filters[:2])
            self._threads += 1

    def end(self) -> None:
        """Remove them once no thread wants them any more."""
        with self._lock:
            self._threads -= 1
            if not self._threads:
                present: Any = warnings.filters
                for entry in self._filters:
                    with contextlib.suppress(ValueError):  # somebody has reset all filters
                        present.remove(entry)


_SILENCE: Slot[_Silence] = slot("filters of torch's advice", _Silence, in_child="new")


@contextlib.contextmanager
def without_advice() -> Iterator[None]:
    """Suppress torch's warning that TorchScript is deprecated: users get it from their own calls."""
    silence = _SILENCE.value
    silence.begin()
    try:
        yield
    finally:
        silence.end()


def _classes(*names: str) -> tuple[type, ...]:
    return tuple(cls for cls in map(of_jit, names) if isinstance(cls, type))


@cached()
def _module_classes() -> tuple[type, ...]:
    return _classes("ScriptModule")


@cached()
def recursive_class() -> tuple[type, ...]:
    """The class of scripted modules, alone; none without TorchScript."""
    return _classes("RecursiveScriptModule")


@cached()
def script_classes() -> tuple[type, ...]:
    """The classes of scripted modules and functions; none without TorchScript."""
    return _classes("ScriptModule", "ScriptFunction")


def is_script_module(value: Any) -> bool:
    """Whether a value is a scripted, traced or loaded module."""
    return isinstance(value, _module_classes())


def is_script_error(error: BaseException) -> bool:
    """Whether scripted code raised an error."""
    return isinstance(error, _classes("Error"))


def is_compiled_module(value: Any) -> bool:
    """Whether a value is a compiled module without its Python form."""
    cls = _COMPILED_CLASS.found
    return cls is not MISSING and isinstance(value, cls)


def python_form(compiled: Any) -> Any:
    """The Python form of a compiled module."""
    return _WRAP.require()(compiled)


# --- methods ----------------------------------------------------------------------------------


def _scripted() -> Any:
    class Empty(torch.nn.Module):
        def forward(self) -> None:
            return None

    with without_advice():
        return torch.jit.script(Empty())


def _compiled_methods() -> Any:
    compiled = _scripted()._c
    compiled._type().qualified_name()
    compiled._get_method(compiled._method_names()[0]).schema  # noqa: B018 - whether it is there
    return compiled._has_method("forward")


def _compiled(module: Any) -> Any:
    compiled = getattr(module, "_c", None)
    if compiled is None:
        raise InterfaceError(_COMPILED.complaint())
    return compiled


def has_method(module: Any, name: str) -> bool:
    """Whether a scripted module has a method."""
    return bool(_compiled(module)._has_method(name))


def method_names(module: Any) -> list[str]:
    """The names of a scripted module's methods."""
    return list(_compiled(module)._method_names())


def method_schema(module: Any, name: str) -> Any:
    """The schema of a scripted module's method."""
    return _compiled(module)._get_method(name).schema


def qualified_name(module: Any) -> str:
    """The name that TorchScript has for a scripted module's type, such as ``__torch__.pkg.mod.Name``."""
    return str(_compiled(module)._type().qualified_name())


def python_class_of(module: Any) -> Any:
    """The Python class that a scripted module was made of."""
    return module._concrete_type.py_class


def interface_methods(interface: Any) -> set[str] | None:
    """The names of a TorchScript interface's methods; None where torch does not say."""
    unit = _COMPILATION_UNIT.found
    if unit is MISSING:
        return None
    return set(unit.get_interface(str(interface.__torch_script_interface__)).getMethodNames())


def compile_all_methods(module: Any) -> None:
    """Compile all methods of a module, where TorchScript's own choice would be fewer."""
    if _CREATE.is_here and _INFER_METHODS.is_here:
        _CREATE.found(module, _INFER_METHODS.found)


# --- the rest ---------------------------------------------------------------------------------


def replace_loader(loader: Callable[..., Any]) -> None:
    """Replace ``torch.jit.load``."""
    torch.jit.load = loader
    if _LOADER.is_here:
        torch.jit._serialization.load = loader


def destroy_library(library: Any) -> None:
    """Remove the operators of a ``torch.library.Library``."""
    if _DESTROY.is_here:
        library._destroy()
