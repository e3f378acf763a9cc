"""A worker process: serves its starter, and whoever else of the same user connects."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from remotemod.backends.processes import become_worker
from remotemod.backends.shm.backend import ShmBackend, address_of
from remotemod.backends.shm.server import Server
from remotemod.runtime.cluster import Cluster, set_process_cluster
from remotemod.runtime.owner import Owner

__all__ = ["run"]


def run(config: dict[str, Any], primary: socket.socket) -> None:
    """Serves until the starter closes its connection or dies.

    Args:
        config: what the starter says of this worker and its cluster.
        primary: the connection to the starter.
    """
    become_worker(config)
    name = config["name"]
    backend = ShmBackend(config["workers"], config["token"], config["arena"], config["in_flight"])
    cluster = Cluster(backend, timeout=config["timeout"])
    backend.cluster = cluster
    backend.caller = name
    set_process_cluster(cluster)
    owner = Owner(name, reachable=True)
    backend.owner = owner

    def serve(sock: socket.socket) -> None:
        Server(sock, owner, cluster, config["arena"], config["max_concurrency"]).run()

    listener = _listen(config["token"], name)
    threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
    serve(primary)


def _listen(token: str, name: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address_of(token, name))
    listener.listen(64)
    return listener


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        sock, _ = listener.accept()
        if not _same_user(sock):
            sock.close()
            continue
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


def _same_user(sock: socket.socket) -> bool:
    """Whether the peer runs as this user: values may carry code, so nobody else is let in."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(uid == os.getuid())
