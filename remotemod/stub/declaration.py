"""What a generated stub says of itself, checked the moment the stub is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remotemod.errors import InterfaceMismatch

__all__ = ["STUB_ABI", "Form", "Stub"]

STUB_ABI = 2
"""Rises when generated code and the runtime no longer understand each other."""

Form = Literal["eager", "scripted"]


@dataclass(frozen=True)
class Stub:
    """The declaration at the top of every generated stub.

    Args:
        abi: the stub ABI that the generator wrote for.
        digest: the interface's digest (``Interface.digest``).
        source: the class that the stub was generated from, as ``module:qualname``.
        form: ``"eager"``, or ``"scripted"`` for stubs that TorchScript compiles.
        device_moves: whether ``_remote_*`` moves tensors to the module's device and back.
        methods: the remote methods, in order.
        native: those whose ``_remote_*`` TorchScript can compile, so that an engine that runs TorchScript
            by itself needs no Python on the way.

    Raises:
        InterfaceMismatch: the stub was written for another ABI than this remotemod's.
    """

    abi: int
    digest: str
    source: str
    form: Form
    device_moves: bool
    methods: tuple[str, ...]
    native: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """The namespace of a scripted stub's operators."""
        return f"remotemod_{self.digest}"

    def __post_init__(self) -> None:
        if self.abi == STUB_ABI:
            return
        older = self.abi < STUB_ABI
        mend = (
            f"regenerate the stub: remotemod gen {self.source} -o DIR"
            if older
            else "upgrade remotemod on this side, or regenerate the stub with this version"
        )
        raise InterfaceMismatch(
            f"the stub of {self.source} was generated for stub ABI {self.abi}, "
            f"and this remotemod runs ABI {STUB_ABI}; {mend}"
        )
