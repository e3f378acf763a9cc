"""The owner on a worker of torch's RPC: keeps modules and values by torch's own references."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import torch
import torch.distributed.rpc as rpc
from torch import nn

from remotemod.backends.torch_rpc.agent import generation
from remotemod.backends.torch_rpc.native import Native, compiled, declare, declared
from remotemod.backends.torch_rpc.script_errors import script_failure
from remotemod.backends.torch_rpc.serialization import is_plain, pack, unpack
from remotemod.owner.module_functions import as_module
from remotemod.owner.owner import Owner
from remotemod.owner.session import Session
from remotemod.process import Slot, slot
from remotemod.requests import Call, Load, Reply
from remotemod.stub.loader import LoadedStub
from remotemod.torch_compat.script import is_script_error, is_script_module
from remotemod.trees import move_to_caller
from remotemod.wire.codec import Codec
from remotemod.wire.failure import pack_failure

__all__ = ["CODEC", "FAILED", "PACKED", "PLAIN", "serve"]

_CALL = len(Call._fields)

CODEC = Codec(code=True)
"""Takes exceptions apart."""


class RpcOwner(Owner):
    """An owner that keeps values behind torch's RRefs, which count their holders themselves."""

    def keep(self, value: object) -> Any:
        """Keep ``value`` and return torch's reference to it."""
        if is_script_module(value):
            return _untyped(value)
        return rpc.RRef(value)

    def value(self, ref: Any) -> Any:
        """The value of a reference of this owner's, or of the number of a graph."""
        return super().value(ref) if type(ref) is int else as_module(ref.local_value())

    def load(self, request: Load) -> LoadedStub:
        """Load a stub, and compile the functions for TorchScript callers."""
        stub = super().load(request)
        compiled(declare(request.digest, request.extension))
        return stub

    def keep_module(self, module: nn.Module, stub: str | None) -> tuple[Any, Any]:
        """Keep a module; a scripted one behind a reference that TorchScript can follow."""
        native = None if stub is None else declared(stub)
        if is_script_module(module) and compiled(native) is not None:
            assert isinstance(native, Native)
            try:
                return rpc.RRef(module, native.interface), True
            except RuntimeError:
                pass  # it lacks a method of the interface: a call in Python names it
        return self.keep(module), False


_IN_TRANSIT: Slot[dict[int, Any]] = slot(
    "objects that are passed to a call of this process without a copy", dict
)
_NUMBERS: Slot[itertools.count[int]] = slot("numbers these objects", itertools.count)


def _untyped(module: object) -> Any:
    """A reference to a scripted module without an interface, which torch makes of results alone."""
    return rpc.remote(rpc.get_worker_info(), _same, (_Direct(module),))


class _Direct:
    """An object that is passed to a call in its own process without a copy."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        number = next(_NUMBERS.value)
        _IN_TRANSIT.value[number] = self.value
        return _arrived, (
            number,
        )  # a function: pickle would copy the dict that a method belongs to


def _arrived(number: int) -> Any:
    return _IN_TRANSIT.value.pop(number)


def _same(value: Any) -> Any:
    return value


_SESSION: Slot[tuple[Any, Session | None]] = slot(
    "the session of this process's agent, and that agent's generation", lambda: (None, None)
)
_LOCK: Slot[threading.Lock] = slot(
    "guards the session of this process's agent", threading.Lock, in_child="new"
)


def _session() -> Session:
    """The one session of all callers: torch counts what each of them holds."""
    current = generation()
    made_for, session = _SESSION.value
    if session is not None and made_for is current:
        return session
    with _LOCK.value:
        made_for, session = _SESSION.value
        if session is None or made_for is not current:
            session = Session(RpcOwner(rpc.get_worker_info().name, reachable=True))
            _SESSION.value = current, session
        return session


PLAIN, PACKED, FAILED = range(3)
"""The forms of an answer: the result as it is, the result in a parcel, the failure in a parcel."""


def serve(sent: tuple[Any, ...], main_by_value: bool, keeps_device: bool) -> tuple[int, Any, int]:
    """Run a request on the owner.

    Args:
        sent: a parcel, or the fields of a :class:`Call` that torch's own pickler could take.
        main_by_value: whether the caller's ``__main__`` is another.
        keeps_device: whether the caller has a device map to this owner; else all tensors go back on the CPU.

    Returns:
        The form of the answer, the answer, and the number of the graph that is kept of it, 0 without one.
    """
    session = _session()

    def encode(reply: Reply) -> tuple[int, Any, int]:
        value, graph = reply
        if is_plain(value):
            return PLAIN, value if keeps_device else move_to_caller(value), graph
        return PACKED, pack(value, main_by_value=main_by_value, on_cpu=not keeps_device), graph

    try:
        request = Call(*sent) if len(sent) == _CALL else unpack(sent)
        reply = session.run(request)
        _finish_queued()
        return session.encoded(reply, encode)
    except BaseException as error:  # SystemExit too: a module's exit is not the worker's
        if is_script_error(error):
            failure = script_failure(str(error), session.owner.name, CODEC)
        else:
            failure = pack_failure(error, session.owner.name, CODEC)
        return FAILED, pack(failure, main_by_value=main_by_value), 0


def _finish_queued() -> None:
    """Wait until devices have done what the request has queued.

    With device maps torch runs each request on streams of its own, which nothing but the tensors of an answer puts in an
    order: the next call would read parameters that an optimizer's step has not written yet.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return
    for device in range(torch.cuda.device_count()):
        stream = torch.cuda.current_stream(device)
        if stream != torch.cuda.default_stream(device):
            stream.synchronize()
