"""All that generated stubs import: whatever changes here in meaning raises the stub ABI."""

from remotemod.runtime.future import Future
from remotemod.runtime.given import LEFT_OUT, given
from remotemod.runtime.moves import move, move_to_caller, to_caller
from remotemod.runtime.ref import RemoteRef
from remotemod.runtime.remote_module import RemoteModule
from remotemod.stubs.declaration import Stub
from remotemod.stubs.script import (
    Operator,
    RRef,
    export,
    fork,
    is_scripting,
    record_function,
    rpc_async,
)

__all__ = [
    "LEFT_OUT",
    "Future",
    "Operator",
    "RRef",
    "RemoteModule",
    "RemoteRef",
    "Stub",
    "export",
    "fork",
    "given",
    "is_scripting",
    "move",
    "move_to_caller",
    "record_function",
    "rpc_async",
    "to_caller",
]
