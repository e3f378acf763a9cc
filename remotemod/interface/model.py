"""The frozen model of an interface: what every reader returns and every renderer starts from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from remotemod.interface.types import ANY, Type

__all__ = ["Argument", "Default", "Interface", "Kind", "Method", "Origin"]


class Kind(Enum):
    """A parameter's kind; the values are those of ``inspect.Parameter.kind``."""

    POSITIONAL_ONLY = 0
    POSITIONAL_OR_KEYWORD = 1
    VAR_POSITIONAL = 2
    KEYWORD_ONLY = 3
    VAR_KEYWORD = 4


@dataclass(frozen=True, slots=True)
class Default:
    """A default value, as a Python expression.

    ``literal``: ``text`` needs builtins alone (``3``, ``'a'``, ``(1, None)``, ``float('inf')``).
    ``reference``: ``text`` is a dotted path below the modules named in ``imports``
    (``torch.float32``, ``pkg.mod.Color.RED``).
    ``opaque``: cannot be written; the caller leaves the argument out and the owner's own default counts.
    ``text`` is then ``"..."`` and ``shown`` says what was seen.
    """

    text: str
    form: Literal["literal", "reference", "opaque"] = "literal"
    imports: tuple[str, ...] = ()
    shown: str = field(default="", compare=False)

    @staticmethod
    def opaque(shown: str = "") -> Default:
        """The default that only the owner knows; ``shown`` is what a person gets to see of it."""
        return Default("...", "opaque", (), shown)


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a method, ``self`` never among them.

    ``annotated`` tells an explicit ``Any`` from no annotation at all.
    """

    name: str
    type: Type = ANY
    kind: Kind = Kind.POSITIONAL_OR_KEYWORD
    default: Default | None = None
    annotated: bool = True


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its parameters without ``self``, its result, and its docstring (cleaned of indentation)."""

    name: str
    arguments: tuple[Argument, ...] = ()
    returns: Type = ANY
    annotated: bool = True
    doc: str | None = field(default=None, compare=False)


Origin = Literal["interface", "protocol", "module", "script"]
"""``@torch.jit.interface``, ``typing.Protocol``, an ``nn.Module`` class or instance, a ScriptModule."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A module's interface: what can be called on it from elsewhere.

    ``module`` and ``qualname`` say where the class can be imported from. ``file`` and ``line``
    are for messages alone and take no part in equality, nor do docstrings.
    """

    name: str
    module: str
    qualname: str
    origin: Origin
    methods: tuple[Method, ...]
    doc: str | None = field(default=None, compare=False)
    file: str | None = field(default=None, compare=False)
    line: int | None = field(default=None, compare=False)

    @property
    def target(self) -> str:
        """The ``TARGET`` under which the class can be found again."""
        return f"{self.module}:{self.qualname}"

    @property
    def scriptable(self) -> bool:
        """Whether TorchScript itself vouches for the types."""
        return self.origin in ("interface", "script")

    @property
    def remote_methods(self) -> tuple[Method, ...]:
        """The methods that get stubs: ``m_async`` beside ``m`` is m's asynchronous form, not a method of its own."""
        names = {m.name for m in self.methods}
        return tuple(
            m
            for m in self.methods
            if not (m.name.endswith("_async") and m.name.removesuffix("_async") in names)
        )

    def method(self, name: str) -> Method:
        """The method called ``name``; KeyError where there is none."""
        for method in self.methods:
            if method.name == name:
                return method
        raise KeyError(name)

    @property
    def digest(self) -> str:
        """A hex digest of all that a caller and an owner must agree on (methods, names, kinds, types, defaults)."""
        shape = [
            [
                m.name,
                [
                    [a.name, a.kind.value, str(a.type), a.default and a.default.text]
                    for a in m.arguments
                ],
                str(m.returns),
            ]
            for m in self.methods
        ]
        text = json.dumps(shape, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
