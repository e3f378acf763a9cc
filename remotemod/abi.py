"""All that generated stubs import: whatever changes here in meaning raises the stub ABI."""

from typing import TYPE_CHECKING

from remotemod.future import Future
from remotemod.handles.module import RemoteModule
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.declaration import Operator, Stub
from remotemod.stub.omitted import OMITTED, drop_omitted
from remotemod.stub.operators import fork, is_scripting
from remotemod.stub.versions import refuse_missing_name
from remotemod.trees import move, move_to_caller, to_caller

__all__ = [
    "OMITTED",
    "Future",
    "Operator",
    "RemoteModule",
    "RemoteRef",
    "Stub",
    "drop_omitted",
    "fork",
    "is_scripting",
    "move",
    "move_to_caller",
    "to_caller",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is here

    def __getattr__(name: str) -> None:
        """Says which command regenerates a stub of another ABI, which imports other names."""
        if not name.startswith("__"):
            refuse_missing_name(name)
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
