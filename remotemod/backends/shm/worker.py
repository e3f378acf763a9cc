"""A worker process: serves its starter, and whoever else of the same user connects."""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import Any

from remotemod.backends.processes import become_worker
from remotemod.backends.shm.backend import ShmBackend, address_of
from remotemod.backends.shm.carriage import decode_request, encode_failure, make_codec
from remotemod.backends.shm.channel import Channel
from remotemod.backends.shm.frames import CALL, FAILURE, RESULT, ROUTE, VALUE
from remotemod.errors import ProtocolError
from remotemod.runtime.cluster import Cluster, set_process_cluster
from remotemod.runtime.owner import Owner, Peer, Route
from remotemod.runtime.requests import Release
from remotemod.wire.express import Packed, pack_value, unpack_row

__all__ = ["run"]


def run(config: dict[str, Any], primary: socket.socket) -> None:
    """Serves until the starter closes its connection or dies.

    Args:
        config: what the starter says of this worker and its cluster.
        primary: the connection to the starter.
    """
    become_worker(config)
    name = config["name"]
    backend = ShmBackend(config["workers"], config["token"])
    cluster = Cluster(backend, timeout=config["timeout"])
    backend.cluster = cluster
    backend.caller = name
    set_process_cluster(cluster)
    owner = Owner(name, reachable=True)
    backend.owner = owner
    listener = _listen(config["token"], name)
    threading.Thread(target=_accept, args=(listener, owner, cluster), daemon=True).start()
    _serve(primary, owner, cluster)


def _listen(token: str, name: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address_of(token, name))
    listener.listen(64)
    return listener


def _accept(listener: socket.socket, owner: Owner, cluster: Cluster) -> None:
    while True:
        sock, _ = listener.accept()
        if not _same_user(sock):
            sock.close()
            continue
        threading.Thread(target=_serve, args=(sock, owner, cluster), daemon=True).start()


def _same_user(sock: socket.socket) -> bool:
    """Whether the peer runs as this user: values may carry code, so nobody else is let in."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(uid == os.getuid())


def _serve(sock: socket.socket, owner: Owner, cluster: Cluster) -> None:
    """Answers one peer's requests in their order, until it is gone."""
    channel = Channel(sock)
    peer = Peer(owner)
    codec = make_codec(receiver="", cluster=lambda: cluster, owner=owner, peer=peer)
    routes = _Routes(owner)
    args: Any = None
    kwargs: Any = None
    packed: Packed | None = None
    try:
        while True:
            message = channel.receive(None)
            if message is None:
                continue
            call, kind = message.call, RESULT
            if message.kind == ROUTE:
                routes.add(call, owner.route(*codec.decode(message.header, message.frames)))
                continue
            try:
                if message.kind == CALL:
                    args, kwargs = unpack_row(message.header, message.frames)
                    value = routes.by_number[message.route](args, kwargs, message.grad)
                    packed = pack_value(value)
                    kind = RESULT if packed is None else VALUE
                    header, frames = packed or codec.encode(value)
                else:
                    request = decode_request(codec, message)
                    value = owner.handle(request, peer)
                    header, frames = codec.encode(value)
                    if type(request) is Release:
                        routes.forget(request.refs)
                    del request
                del value
            except BaseException as error:  # SystemExit too: a module's exit is not the worker's
                kind = FAILURE
                header, frames = encode_failure(codec, error, owner.name)
            # The frames are the arguments: let them go before waiting for the next request.
            del message
            args = kwargs = packed = None
            if call:
                channel.send(call, kind, header, frames)
            del frames
    except (EOFError, OSError, ProtocolError):
        pass  # the peer is gone, or speaks something else: either way there is nobody to tell
    finally:
        peer.gone()
        channel.close()


class _Routes:
    """The routes that one peer has announced."""

    def __init__(self, owner: Owner) -> None:
        self.by_number: dict[int, Route] = {}
        self._of_ref: dict[int, list[int]] = {}
        self._owner = owner

    def add(self, number: int, route: Route) -> None:
        """Takes an announcement."""
        self.by_number[number] = route
        self._of_ref.setdefault(route.ref, []).append(number)

    def forget(self, refs: list[int]) -> None:
        """Drops the routes to what was released and is no longer kept: nobody can call it any more."""
        for ref in refs:
            if not self._owner.keeps(ref):
                for number in self._of_ref.pop(ref, ()):
                    del self.by_number[number]
