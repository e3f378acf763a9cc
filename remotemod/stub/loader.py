"""Load a stub's text as a module: cached by digest, visible to tracebacks, never half-built."""

from __future__ import annotations

import functools
import hashlib
import itertools
import linecache
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from remotemod.errors import InterfaceMismatch
from remotemod.interface.types import Symbol
from remotemod.process import Slot, slot
from remotemod.stub.declaration import Declaration, Stub
from remotemod.stub.operators import DispatcherMethod, export
from remotemod.stub.packing import keyword_names
from remotemod.stub.schema import MethodSchema, SchemaReader

__all__ = ["LoadedStub", "StubName", "load_stub", "loaded_from_module", "text_digest"]


@dataclass(frozen=True, eq=False)
class LoadedStub:
    """A stub that can be used.

    Attributes:
        text: the generated source.
        digest: the digest of ``text`` (of the whole text, not only of the interface).
        module: the module that the text became.
        contents: the stub's own ``STUB``.
        injected: the names that the loader was given, which the text cannot import.
    """

    text: str
    digest: str
    module: ModuleType
    contents: Stub
    injected: Mapping[str, object]

    @functools.cached_property
    def declaration(self) -> Declaration:
        """What the stub declares, as plain data."""
        return self.contents.declaration

    @property
    def cls(self) -> type:
        """The generated subclass of ``RemoteModule``."""
        return self.contents.cls

    @property
    def remote_methods(self) -> Mapping[str, Callable[..., Any]]:
        """The owner's function for each method."""
        return self.contents.methods

    @functools.cached_property
    def schemas(self) -> Mapping[str, MethodSchema]:
        """The types of each method of a scripted stub; none of an eager one."""
        symbols = {
            name: Symbol(cls.__module__, cls.__qualname__)
            for name, cls in self.contents.classes.items()
        }
        reader = SchemaReader(symbols, self.contents.fields)
        return {
            operator.method: MethodSchema(
                reader.arguments(operator.arguments), reader.type(operator.result)
            )
            for operator in self.contents.operators
        }

    @property
    def dispatcher_methods(self) -> list[DispatcherMethod]:
        """The methods of a scripted stub, for the dispatcher."""
        classes = {(c.__module__, c.__qualname__): c for c in self.contents.classes.values()}
        return [
            DispatcherMethod.of(
                name,
                schema,
                keyword_names(self.cls.__dict__[name]),
                lambda tree: classes[tree.symbol.module, tree.symbol.qualname],
            )
            for name, schema in self.schemas.items()
        ]


class StubName(NamedTuple):
    """The name of a stub that an owner has loaded, for callers that do not load it.

    Attributes:
        digest: the digest of its text.
        declaration: its declaration.
    """

    digest: str
    declaration: Declaration


_LOCK: Slot[threading.Lock] = slot("guards the loading of stubs", threading.Lock, in_child="new")
_NUMBERS: Slot[itertools.count[int]] = slot(
    "numbers the modules of stubs with injected names", lambda: itertools.count(1), lasting=True
)
# TorchScript and the dispatcher remember what a stub has defined.
_LOADED: Slot[dict[tuple[str, tuple[tuple[str, int], ...]], LoadedStub]] = slot(
    "the stubs that are loaded, by their text and their injected names", dict, lasting=True
)


def text_digest(text: str) -> str:
    """The digest under which a stub's text is cached and announced to owners."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_stub(text: str, injected: Mapping[str, object] | None = None) -> LoadedStub:
    """Compile and run a stub's text, once for each text and set of injected names.

    The module enters the cache only when it is complete: a text that fails leaves nothing behind, and
    a second thread waits for the first instead of seeing half a module.

    Args:
        text: the stub.
        injected: objects for the names that the text cannot import.

    Raises:
        InterfaceMismatch: the stub was written for another ABI.
    """
    names = dict(injected or {})
    key = (text_digest(text), tuple(sorted((name, id(value)) for name, value in names.items())))
    stub = _LOADED.value.get(key)
    if stub is not None:
        return stub
    with _LOCK.value:
        stub = _LOADED.value.get(key)
        if stub is None:
            stub = _LOADED.value[key] = _load(text, key[0], names)
        return stub


def load_module(text: str, name: str, names: Mapping[str, object]) -> ModuleType:
    """Run generated text as a module, so that TorchScript, tracebacks and ``inspect`` find its source.

    Args:
        text: the module's source.
        name: the name under which it enters ``sys.modules`` once it is complete.
        names: its globals before it runs.
    """
    filename = f"<{name.replace('_', ' ')}>"
    code = compile(text, filename, "exec", dont_inherit=True)
    module = ModuleType(name)
    module.__dict__.update(names)
    module.__dict__["__file__"] = filename
    # An entry without a time never goes stale.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    try:
        exec(code, module.__dict__)
    except BaseException:
        linecache.cache.pop(filename, None)
        raise
    sys.modules[name] = module  # where torch.compile looks for a function's globals
    return module


def _load(text: str, digest: str, names: dict[str, object]) -> LoadedStub:
    name = f"remotemod_stub_{digest}"
    if names:
        name += f"_{next(_NUMBERS.value)}"  # the same text means another thing with other names
    module = load_module(text, name, names)
    try:
        return _describe(module, text, digest, names)
    except BaseException:
        linecache.cache.pop(str(module.__file__), None)
        del sys.modules[name]
        raise


def _describe(
    module: ModuleType, text: str, digest: str, names: Mapping[str, object]
) -> LoadedStub:
    stub = getattr(module, "STUB", None)
    if not isinstance(stub, Stub):
        raise InterfaceMismatch(
            f"{module.__name__} is not a stub that remotemod generated; "
            "regenerate it: remotemod gen TARGET -o DIR"
        )
    if stub.operators:
        for method in stub.methods:
            export(stub.cls.__dict__[method])
            export(stub.cls.__dict__[f"{method}_async"])
    return LoadedStub(text, digest, module, stub, names)


def loaded_from_module(module: ModuleType) -> LoadedStub:
    """The stub of an imported generated file."""
    import inspect

    text = inspect.getsource(module)
    return _describe(module, text, text_digest(text), {})
