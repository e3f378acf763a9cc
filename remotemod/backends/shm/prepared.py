"""The prepared calls of one method over a connection: plain ones name an endpoint, others are requests."""

from __future__ import annotations

from typing import Any

from remotemod.backends.shm.connection import Connection
from remotemod.backends.shm.protocol import CALL, GRAPH_MODE_SHIFT
from remotemod.future import Future
from remotemod.requests import Call, Differentiate
from remotemod.rpc.engine import Engine, PreparedRequest
from remotemod.wire.fast_path import Packed, pack_row

__all__ = ["PreparedShmCall", "pack_backward"]

_KINDS = tuple(CALL | graph_mode << GRAPH_MODE_SHIFT for graph_mode in range(4))


class PreparedShmCall(PreparedRequest):
    """A prepared call over a connection; see :class:`remotemod.rpc.engine.PreparedCall`.

    Args:
        engine: carries the calls whose arguments are not plain.
        worker: the module's owner.
        call: such a call, without arguments.
        connection: the connection to the owner.
    """

    __slots__ = ("_common", "_connection", "_endpoint_id", "_ref")

    def __init__(self, engine: Engine, worker: str, call: Call, connection: Connection) -> None:
        super().__init__(engine, worker, call)
        self._connection = connection
        self._ref: int = call.ref
        self._common = call.stub, call.method, call.device, call.is_device_map_set
        self._endpoint_id = 0

    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Any:
        """Runs the method and waits."""
        packed = pack_row(args, kwargs)
        if packed is None:
            return super().call(args, kwargs, graph_mode, timeout)
        return self._connection.exchange(
            _KINDS[graph_mode], packed, self._endpoint_id or self._announce(timeout), timeout
        )

    def submit(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], graph_mode: int, timeout: float | None
    ) -> Future[Any]:
        """Starts the method."""
        packed = pack_row(args, kwargs)
        if packed is None:
            return super().submit(args, kwargs, graph_mode, timeout)
        return self._connection.submit(
            _KINDS[graph_mode], packed, self._endpoint_id or self._announce(timeout), timeout
        )

    def _announce(self, timeout: float | None) -> int:
        self._endpoint_id = self._connection.endpoint_id(self._ref, self._common, timeout)
        return self._endpoint_id


def pack_backward(request: Differentiate) -> Packed | None:
    """A backward pass as a plain call of the endpoint of all graphs; None where its values are not plain."""
    accumulate, inputs, keep, higher = request.how
    if higher:
        return None
    return pack_row((request.graph, accumulate, inputs, keep, *request.grads), {})
