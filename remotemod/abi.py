"""All that generated stubs import: whatever changes here in meaning raises the stub ABI."""

from remotemod.future import Future
from remotemod.handles.module import RemoteModule
from remotemod.rpc.ref import RemoteRef
from remotemod.stub.declaration import Stub
from remotemod.stub.omitted import LEFT_OUT, given
from remotemod.stub.operators import (
    Operator,
    RRef,
    export,
    fork,
    is_scripting,
    record_function,
    rpc_async,
)
from remotemod.trees import move, move_to_caller, to_caller

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
