"""The owner on a worker of torch's RPC: keeps modules and values by torch's own references."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import torch
import torch.distributed.rpc as rpc
from torch import Tensor, nn

from remotemod.autograd.owner import Graph, Pass, Recorded, differentiate
from remotemod.backends.torch_rpc.agent import generation
from remotemod.backends.torch_rpc.native import Native, compiled, declare, declared
from remotemod.backends.torch_rpc.script_errors import script_failure
from remotemod.backends.torch_rpc.serialization import is_plain, pack, unpack
from remotemod.owner.module_functions import as_module
from remotemod.owner.owner import Owner, Peer
from remotemod.requests import Call, Load
from remotemod.stub.loader import LoadedStub
from remotemod.torch_compat.script import is_script_error, is_script_module
from remotemod.trees import move_to_caller
from remotemod.wire.codec import Codec
from remotemod.wire.failure import pack_failure

__all__ = ["CODEC", "FAILED", "PACKED", "PLAIN", "run_graph", "serve"]

_CALL = len(Call._fields)

CODEC = Codec(code=True)
"""Takes exceptions apart."""


class RpcOwner(Owner):
    """Keeps what others ask for behind torch's RRefs, which count their holders themselves."""

    def keep(self, value: object) -> Any:
        """Keeps ``value`` and returns torch's reference to it."""
        if is_script_module(value):
            return _untyped(value)
        return rpc.RRef(value)

    def keep_graph(self, graph: Graph, peer: Peer) -> int:
        """Keeps a graph and returns its number: each call has one, and torch's references are dear.

        After a process's first ``rpc.shutdown`` torch would not even let them go any more.
        """
        return self.keep_for(peer, graph)

    def value(self, ref: Any) -> Any:
        """What a reference of this owner's stands for, or the number of a graph."""
        return super().value(ref) if type(ref) is int else as_module(ref.local_value())

    def load(self, request: Load) -> LoadedStub:
        """Takes a stub, and compiles what TorchScript callers will ask for."""
        stub = super().load(request)
        compiled(declare(request.digest, request.extension))
        return stub

    def keep_module(self, module: nn.Module, stub: str | None) -> tuple[Any, Any]:
        """Keeps a module; a scripted one behind a reference that TorchScript can follow."""
        native = None if stub is None else declared(stub)
        if is_script_module(module) and compiled(native) is not None:
            assert isinstance(native, Native)
            try:
                return rpc.RRef(module, native.interface), True
            except RuntimeError:
                pass  # it has not the methods of the interface: Python will say which one is missing
        return self.keep(module), False


_ON_THEIR_WAY: dict[int, Any] = {}
_NUMBERS = itertools.count()


def _untyped(module: object) -> Any:
    """A reference to a scripted module without an interface, which torch makes of results alone."""
    return rpc.remote(rpc.get_worker_info(), _same, (_Direct(module),))


class _Direct:
    """Hands an object to a call in its own process without copying it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        number = next(_NUMBERS)
        _ON_THEIR_WAY[number] = self.value
        return _arrived, (
            number,
        )  # a function: pickle would copy the dict that a method belongs to


def _arrived(number: int) -> Any:
    return _ON_THEIR_WAY.pop(number)


def _same(value: Any) -> Any:
    return value


_LOCK = threading.Lock()
_OWNER: list[tuple[Any, RpcOwner, Peer]] = []


def _owner() -> tuple[Any, RpcOwner, Peer]:
    now = generation()
    if _OWNER and _OWNER[0][0] is now:
        return _OWNER[0]
    with _LOCK:
        if not _OWNER or _OWNER[0][0] is not now:
            owner = RpcOwner(rpc.get_worker_info().name, reachable=True)
            _OWNER[:] = [(now, owner, Peer(owner))]
        return _OWNER[0]


def run_graph(number: int, grads: list[Tensor | None], how: tuple[bool, ...]) -> Any:
    """On the owner: runs a kept graph backwards; see :func:`remotemod.autograd.owner.differentiate`."""
    _, owner, peer = _owner()
    told = Pass(*how)
    try:
        return differentiate(owner.value(number), grads, told)
    finally:
        if not told.keep:
            peer.release([number])


PLAIN, PACKED, FAILED = range(3)
"""The forms of an answer: the result as it is, the result in a parcel, what was raised in a parcel."""


def serve(sent: tuple[Any, ...], main_by_value: bool, keeps_device: bool) -> tuple[int, Any, int]:
    """On the owner: runs a request.

    Args:
        sent: a parcel, or the fields of a :class:`Call` that torch's own pickler could take.
        main_by_value: whether the caller's ``__main__`` is another.
        keeps_device: whether the caller has a device map to this owner; else all tensors go back on the CPU.

    Returns:
        The form of the answer, the answer, and the number of the graph that is kept of it, 0 without one.
    """
    _, owner, peer = _owner()
    try:
        request = Call(*sent) if len(sent) == _CALL else unpack(sent)
        value, graph = owner.handle(request, peer), 0
        if type(value) is Recorded:
            value, graph = value
        _finish_queued()
        if is_plain(value):
            return PLAIN, value if keeps_device else move_to_caller(value), graph
        return PACKED, pack(value, main_by_value=main_by_value, on_cpu=not keeps_device), graph
    except BaseException as error:  # SystemExit too: a module's exit is not the worker's
        if is_script_error(error):
            failure = script_failure(str(error), owner.name, CODEC)
        else:
            failure = pack_failure(error, owner.name, CODEC)
        return FAILED, pack(failure, main_by_value=main_by_value), 0


def _finish_queued() -> None:
    """Waits until devices have done what the request has queued.

    With device maps torch runs each request on streams of its own, which nothing but the tensors of an answer puts in an
    order: the next call would read parameters that an optimizer's step has not written yet.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return
    for device in range(torch.cuda.device_count()):
        stream = torch.cuda.current_stream(device)
        if stream != torch.cuda.default_stream(device):
            stream.synchronize()
