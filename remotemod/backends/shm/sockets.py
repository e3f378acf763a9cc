"""The sockets on which workers listen: their names, their list, and the check that both ends are one user's."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from remotemod.errors import BackendUnavailable, WorkerLost

__all__ = ["connect_to", "is_same_user", "listen", "listening_workers"]

_SOCKETS = Path("/proc/net/unix")


def _name(token: str, worker: str) -> str:
    """An abstract socket, which leaves no file behind."""
    return f"\0remotemod-{token}-{worker}"


def listen(token: str, worker: str) -> socket.socket:
    """Opens the socket on which a worker waits for connections.

    Args:
        token: names the cluster on this machine.
        worker: the worker's name.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(_name(token, worker))
    listener.listen(64)
    return listener


def connect_to(token: str, worker: str) -> socket.socket:
    """Connects to a worker.

    Raises:
        WorkerLost: no process listens there, or one of another user.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(_name(token, worker))
        user = _user_of(sock)
    except OSError as error:
        sock.close()
        raise WorkerLost(
            f"worker '{worker}' cannot be reached: {error}. Its process has ended; launch the cluster anew",
            worker,
        ) from error
    if user != os.getuid():
        sock.close()
        raise WorkerLost(
            f"worker '{worker}' cannot be reached: what listens there belongs to the user of id {user}, and this "
            f"process to that of id {os.getuid()}. Values may carry code, so both must be one user: run as that "
            "one, or launch workers of your own (rm.launch)",
            worker,
        )
    return sock


def is_same_user(sock: socket.socket) -> bool:
    """Whether the peer runs as this user: values may carry code, so no other user is let in."""
    return _user_of(sock) == os.getuid()


def _user_of(sock: socket.socket) -> int:
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)


def listening_workers(token: str) -> list[str]:
    """The names of a cluster's workers that listen on this machine, sorted.

    Raises:
        BackendUnavailable: this system does not tell.
    """
    try:
        lines = _SOCKETS.read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        raise BackendUnavailable(
            f"the workers on this machine cannot be listed ({error}): connecting to them needs Linux and its "
            "/proc; launch workers of your own (rm.launch)"
        ) from error
    prefix = f"@remotemod-{token}-"
    paths = {columns[7] for line in lines if len(columns := line.split(None, 7)) == 8}
    return sorted(path.removeprefix(prefix) for path in paths if path.startswith(prefix))
