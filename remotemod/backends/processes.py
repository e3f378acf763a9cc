"""Worker processes on this machine: how backends that start their own begin, watch and end them."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import sys
import weakref
from typing import Any

import torch

from remotemod.backends import fork_server
from remotemod.errors import RemoteModError
from remotemod.runtime.cluster import Cluster

__all__ = ["DEFAULT_TIMEOUT", "Processes", "become_worker", "close_at_exit", "import_path"]

DEFAULT_TIMEOUT = 300.0
"""Seconds that a call may take where nobody says otherwise: nothing hangs for ever."""

_GRACE = 2.0


class Processes:
    """The worker processes of one cluster.

    Args:
        entry: the function that each runs, as ``module:name``; see ``ForkServer.fork``.
    """

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._server = fork_server.acquire()
        self._pids: dict[str, int] = {}

    def start(self, name: str, config: dict[str, Any], threads: int | None) -> socket.socket:
        """Starts one worker.

        Args:
            name: the worker's name.
            config: what the entry is told beside the common things.
            threads: threads it computes with; by default as many as this process, so that results are
                the same to the last bit.

        Returns:
            This end of its primary connection.
        """
        common = {
            "name": name,
            "sys_path": import_path(),
            "cwd": os.getcwd(),
            "threads": threads or torch.get_num_threads(),
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._pids[name] = self._server.fork(self._entry, {**common, **config}, theirs)
        return ours

    def pid(self, worker: str) -> int:
        """The process id of a worker."""
        return self._pids[worker]

    def why_lost(self, worker: str) -> str:
        """What became of a worker whose connection ended; empty if it is not one of these."""
        if worker not in self._pids:
            return ""
        try:
            status = self._server.status(self._pids[worker], 1.0)
        except RemoteModError as error:
            return str(error)
        if status is None:
            return "it closed its connection"
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return f"it was killed by {signal.Signals(number).name} (signal {number})"
        return f"it exited with status {os.WEXITSTATUS(status)}"

    def end(self) -> None:
        """Waits for the workers, who have been told, and kills those that stay."""
        with contextlib.suppress(RemoteModError):
            self._server.end(list(self._pids.values()), _GRACE)
        fork_server.give_back(self._server)


def import_path() -> list[str]:
    """Where this process imports from, as absolute paths."""
    return [os.path.abspath(entry) for entry in sys.path]


def become_worker(config: dict[str, Any]) -> None:
    """In a new worker: what all kinds of workers do first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.path[:] = config["sys_path"]
    with contextlib.suppress(OSError):
        os.chdir(config["cwd"])
    random.seed()
    torch.set_num_threads(config["threads"])


_OPEN: weakref.WeakSet[Cluster] = weakref.WeakSet()


def close_at_exit(cluster: Cluster) -> None:
    """Closes a cluster when the process ends, if nobody has before."""
    if not _OPEN:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _OPEN.add(cluster)


def _close_all() -> None:
    for cluster in list(_OPEN):
        cluster.close()
