"""What makes a handle: which module it is on, and how calls of it are made."""

from __future__ import annotations

from typing import Any, NamedTuple

from remotemod.stub.loader import LoadedStub, StubName

__all__ = ["HandleSpec"]


class HandleSpec(NamedTuple):
    """A module and the way to call it; what travels with a handle, and what owners know of a named module.

    Attributes:
        ref: the reference to the module.
        device: its device on its owner.
        stub: what the owner runs for callers; those that only call need no more than its name.
        kind: the dotted name of the module's class.
        timeout: the handle's own bound in seconds; None for the cluster's.
        extension: what the engine's owner says of the reference; only the engine reads it.
        recompute: whether the owner keeps no graphs and runs calls again in backward.
    """

    ref: Any
    device: str
    stub: LoadedStub | StubName
    kind: str
    timeout: float | None = None
    extension: Any = None
    recompute: bool = False

    def named_stub(self) -> HandleSpec:
        """The same with no more of the stub than its name."""
        return self._replace(stub=StubName(self.stub.digest, self.stub.declaration))
