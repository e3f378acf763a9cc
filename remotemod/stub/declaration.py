"""The declaration at the end of every generated stub, checked the moment the stub is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from remotemod.stub.versions import STUB_ABI, check_abi

__all__ = ["REFERENCE", "Declaration", "Form", "Operator", "Stub"]

Form = Literal["eager", "scripted"]

REFERENCE = "ref"
"""The first argument of all operators: the string by which the remote module is found."""


@dataclass(frozen=True)
class Operator:
    """One method of a scripted stub; see :mod:`remotemod.stub.schema` for the language of its schemas.

    Args:
        method: the method's name.
        arguments: the schema of its arguments, in order.
        result: the schema of its result.
    """

    method: str
    arguments: str
    result: str


@dataclass(frozen=True)
class Declaration:
    """The declaration of a stub as plain data, which can be sent to processes that have not loaded the stub.

    Attributes:
        abi: the stub ABI that the generator wrote for.
        interface: the class that the stub was generated from, as ``module:qualname``.
        digest: the interface's digest (``Interface.digest``).
        methods: the names of the remote methods, in order.
        form: ``"eager"``, or ``"scripted"`` for stubs that TorchScript compiles.
    """

    abi: int
    interface: str
    digest: str
    methods: tuple[str, ...]
    form: Form

    @property
    def namespace(self) -> str:
        """The namespace of a scripted stub's operators."""
        return f"remotemod_{self.digest}"


@dataclass(frozen=True, eq=False)
class Stub:
    """The declaration of a generated stub.

    Args:
        cls: the generated subclass of ``RemoteModule``.
        abi: the stub ABI that the generator wrote for.
        interface: the class that the stub was generated from, as ``module:qualname``.
        digest: the interface's digest (``Interface.digest``).
        methods: the function that runs each remote method on its owner, in the interface's order.
        operators: the methods of a stub that TorchScript compiles; empty for an eager stub.
        classes: the classes by their names in the operators' schemas.
        fields: the fields of those that are named tuples, as the arguments of a schema.
        device_moves: whether ``methods`` move tensors to the module's device and back.

    Raises:
        InterfaceMismatch: the stub was written for another ABI than this remotemod's.
    """

    cls: type
    abi: int
    interface: str
    digest: str
    methods: Mapping[str, Callable[..., Any]]
    operators: Sequence[Operator] = ()
    classes: Mapping[str, type] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    device_moves: bool = True

    def __new__(cls, *args: Any, abi: int, **declared: Any) -> Stub:
        """Check the ABI before anything else: stubs of other ABIs declare other things."""
        check_abi(abi, declared.get("interface") or declared.get("source"))
        return super().__new__(cls)

    @property
    def declaration(self) -> Declaration:
        """The plain data in it."""
        form: Form = "scripted" if self.operators else "eager"
        return Declaration(STUB_ABI, self.interface, self.digest, tuple(self.methods), form)
