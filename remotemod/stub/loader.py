"""Loads a stub's text as a module: cached by digest, visible to tracebacks, never half-built."""

from __future__ import annotations

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
from remotemod.stub.declaration import Stub

__all__ = ["LoadedStub", "StubName", "load_stub", "loaded_from_module", "text_digest"]


@dataclass(frozen=True)
class LoadedStub:
    """A stub that can be used.

    Attributes:
        text: the generated source.
        digest: the digest of ``text`` (of the whole text, not only of the interface).
        module: the module that the text became.
        declaration: the stub's own ``STUB``.
        cls: the generated subclass of ``RemoteModule``.
        remote_methods: the owner's function for each method.
        bound: the names that the loader was given.
    """

    text: str
    digest: str
    module: ModuleType
    declaration: Stub
    cls: type
    remote_methods: Mapping[str, Callable[..., Any]]
    bound: Mapping[str, object]


class StubName(NamedTuple):
    """A stub that its owner has, as somebody knows it who needs no more than to call it.

    Attributes:
        digest: the digest of its text.
        declaration: its own ``STUB``.
    """

    digest: str
    declaration: Stub


_LOCK = threading.Lock()
_NUMBERS = itertools.count(1)
_LOADED: dict[tuple[str, tuple[tuple[str, int], ...]], LoadedStub] = {}


def text_digest(text: str) -> str:
    """The digest under which a stub's text is cached and announced to owners."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_stub(text: str, bound: Mapping[str, object] | None = None) -> LoadedStub:
    """Compiles and runs a stub's text, once for each text and set of bound names.

    The module enters the cache only when it is complete: a text that fails leaves nothing behind, and
    a second thread waits for the first instead of seeing half a module.

    Args:
        text: the stub.
        bound: objects for the names that the text cannot import.

    Raises:
        InterfaceMismatch: the stub was written for another ABI.
    """
    names = dict(bound or {})
    key = (text_digest(text), tuple(sorted((name, id(value)) for name, value in names.items())))
    found = _LOADED.get(key)
    if found is not None:
        return found
    with _LOCK:
        found = _LOADED.get(key)
        if found is None:
            found = _LOADED[key] = _load(text, key[0], names)
        return found


def _load(text: str, digest: str, names: dict[str, object]) -> LoadedStub:
    filename = f"<remotemod stub {digest}>"
    code = compile(text, filename, "exec", dont_inherit=True)
    name = f"remotemod_stub_{digest}"
    if names:
        name += f"_{next(_NUMBERS)}"  # the same text means another thing with other names
    module = ModuleType(name)
    module.__dict__.update(names)
    module.__dict__["__file__"] = filename
    # TorchScript, tracebacks and inspect read the source here; an entry without a time never goes stale.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    try:
        exec(code, module.__dict__)
        stub = _describe(module, text, digest, names)
        sys.modules[name] = module  # where torch.compile looks for a function's globals
        return stub
    except BaseException:
        linecache.cache.pop(filename, None)
        raise


def _describe(
    module: ModuleType, text: str, digest: str, names: Mapping[str, object]
) -> LoadedStub:
    declaration = getattr(module, "STUB", None)
    exported = getattr(module, "__all__", None)
    if not isinstance(declaration, Stub) or not exported:
        raise InterfaceMismatch(
            f"{module.__name__} is not a stub that remotemod generated; "
            "regenerate it: remotemod gen TARGET -o DIR"
        )
    return LoadedStub(
        text=text,
        digest=digest,
        module=module,
        declaration=declaration,
        cls=getattr(module, exported[0]),
        remote_methods=dict(module.__dict__["REMOTE_METHODS"]),
        bound=names,
    )


def loaded_from_module(module: ModuleType) -> LoadedStub:
    """The stub that a generated file became when somebody imported it."""
    import inspect

    text = inspect.getsource(module)
    return _describe(module, text, text_digest(text), {})
