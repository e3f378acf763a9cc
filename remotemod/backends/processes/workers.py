"""Worker processes on this machine, for the backends that start their own: started, watched and ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from remotemod.backends.processes import client as fork_server
from remotemod.backends.processes.client import Forked, import_path
from remotemod.errors import RemoteModError, WorkerLost
from remotemod.process import Slot, slot
from remotemod.rpc.cluster import Cluster

__all__ = [
    "DEFAULT_TIMEOUT",
    "Loss",
    "Processes",
    "become_worker",
    "close_at_exit",
    "import_path",
]

DEFAULT_TIMEOUT = 300.0
"""Seconds that a call may take by default, so that nothing hangs for ever."""

_GRACE = 2.0


@dataclass(frozen=True)
class Loss:
    """What is known about the end of a worker.

    Attributes:
        what: what happened, as the rest of a sentence.
        signal: the number of the signal that killed it; None if it exited by itself or nobody knows.
        stderr: the last lines that it wrote there.
    """

    what: str
    signal: int | None = None
    stderr: tuple[str, ...] = ()

    def error(self, worker: str, *, when: str = "is gone") -> WorkerLost:
        """What calls to the worker fail with."""
        message = f"worker '{worker}' {when}: {self.what}"
        return WorkerLost(message, worker, signal=self.signal, stderr=self.stderr)


class Processes:
    """The worker processes of one cluster.

    Args:
        entry: the function that each runs, as ``module:name``; see ``ForkServer.fork``.
    """

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._server = fork_server.acquire()
        self._forked: dict[str, Forked] = {}

    def start(
        self, names: Sequence[str], config: dict[str, Any], threads: int | None
    ) -> dict[str, socket.socket]:
        """Starts the workers.

        Args:
            names: the workers' names.
            config: what the entry is given beside what all workers are.
            threads: threads each computes with; by default as many as this process, so that results are
                the same to the last bit.

        Returns:
            This process's end of each worker's primary connection, by the worker's name.

        Raises:
            BackendUnavailable: not all of them can be started.
        """
        common = {
            "sys_path": import_path(),
            "cwd": os.getcwd(),
            "threads": threads or torch.get_num_threads(),
        }
        forked = self._server.fork(self._entry, {**common, **config}, names)
        self._forked = dict(zip(names, forked, strict=True))
        return {name: worker.primary for name, worker in self._forked.items()}

    def pid(self, worker: str) -> int:
        """The process id of a worker."""
        return self._forked[worker].pid

    def why_lost(self, worker: str) -> Loss | None:
        """How a worker ended that has closed its connection; None if it is none of these."""
        forked = self._forked.get(worker)
        if forked is None:
            return None
        try:
            status, lines = self._server.wait(forked, 1.0)
        except RemoteModError as error:
            return Loss(f"how is not known, because {error}")
        stderr = tuple(lines)
        if status is None:
            return Loss("it closed its connection", stderr=stderr)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return Loss(f"it was killed by {_name_of(number)} (signal {number})", number, stderr)
        return Loss(f"it exited with status {os.WEXITSTATUS(status)}", stderr=stderr)

    def end(self) -> None:
        """Waits for the workers, whose connections were closed, and kills those that do not end."""
        self._server.end(list(self._forked.values()), _GRACE)
        fork_server.give_back(self._server)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return "a signal"


def become_worker(config: dict[str, Any]) -> None:
    """Does in a new worker what all backends need.

    Args:
        config: what :meth:`Processes.start` has put together.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.path[:] = config["sys_path"]
    with contextlib.suppress(OSError):
        os.chdir(config["cwd"])
    random.seed()
    torch.set_num_threads(config["threads"])


def _close_all(clusters: weakref.WeakSet[Cluster]) -> None:
    for cluster in list(clusters):
        cluster.close()


# A forked child leaves the clusters of its parent open.
_OPEN: Slot[weakref.WeakSet[Cluster]] = slot(
    "the clusters to close when this process ends", weakref.WeakSet, end=_close_all, in_child="new"
)


def close_at_exit(cluster: Cluster) -> None:
    """Closes a cluster when the process ends, unless it was closed before."""
    if not _OPEN.value:
        atexit.unregister(_OPEN.reset)
        atexit.register(_OPEN.reset)
    _OPEN.value.add(cluster)
