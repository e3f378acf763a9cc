"""All that generated stubs import: whatever changes here in meaning raises the stub ABI."""

from remotemod.runtime.future import Future
from remotemod.runtime.given import LEFT_OUT, given
from remotemod.runtime.moves import move, move_to_caller, to_caller
from remotemod.runtime.ref import RemoteRef
from remotemod.runtime.remote_module import RemoteModule
from remotemod.stubs.declaration import Stub
from remotemod.stubs.script import Operator, export, fork, is_scripting

__all__ = [
    "LEFT_OUT",
    "Future",
    "Operator",
    "RemoteModule",
    "RemoteRef",
    "Stub",
    "export",
    "fork",
    "given",
    "is_scripting",
    "move",
    "move_to_caller",
    "to_caller",
]
