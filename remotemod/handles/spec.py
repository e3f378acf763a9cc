"""The spec of a handle: its module, and the options of its calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from remotemod.stub.loader import LoadedStub, StubName

__all__ = ["HandleSpec"]


class HandleSpec(NamedTuple):
    """A module and the options of its calls; it is sent with a handle, and owners have one for each named module.

    Attributes:
        ref: the reference to the module.
        device: its device on its owner.
        stub: the stub that the owner runs; callers that do not load it have its name alone.
        kind: the dotted name of the module's class.
        timeout: seconds that a call may take; None for the cluster's timeout.
        extension: the owner's addition to the reference; only the engine reads it.
        recompute: whether the owner keeps no graphs, and runs calls again in backward.
    """

    ref: Any
    device: str
    stub: LoadedStub | StubName
    kind: str
    timeout: float | None = None
    extension: Any = None
    recompute: bool = False

    def named_stub(self) -> HandleSpec:
        """The same with the stub's name alone."""
        return self._replace(stub=StubName(self.stub.digest, self.stub.declaration))
