"""A worker process: serves the process that launched it, and every other process of its user that connects."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from remotemod.backends.processes.workers import become_worker
from remotemod.backends.shm.cluster_info import set_cluster_info
from remotemod.backends.shm.engine import ShmEngine
from remotemod.backends.shm.server import Server
from remotemod.backends.shm.sockets import is_same_user, listen
from remotemod.owner.owner import Owner
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import set_process_cluster

__all__ = ["run"]


def run(config: dict[str, Any], primary: socket.socket) -> None:
    """Serves until the launching process closes its connection or dies.

    Args:
        config: what the launching process says of this worker and its cluster; see :meth:`ShmEngine.start`.
        primary: the connection to it.
    """
    become_worker(config)
    name = config["name"]
    engine = ShmEngine(config["workers"], config["token"], config["arena"], config["in_flight"])
    cluster = Cluster(engine, timeout=config["timeout"])
    engine.caller = name
    set_process_cluster(cluster)
    owner = Owner(name, reachable=True)
    engine.owner = owner

    def serve(sock: socket.socket) -> None:
        Server(sock, owner, cluster, config["arena"], config["max_concurrency"]).run()

    set_cluster_info(config["workers"])
    listener = listen(config["token"], name)
    threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
    serve(primary)


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        sock, _ = listener.accept()
        if not is_same_user(sock):
            sock.close()
            continue
        threading.Thread(target=serve, args=(sock,), daemon=True).start()
