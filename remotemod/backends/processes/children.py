"""The workers of a fork server, and the requests that wait for them to end."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass

from remotemod.backends.processes.stderr import StderrPipe

__all__ = ["Wait", "Worker"]

_KILL_TIMEOUT = 5.0
"""Seconds to wait for the end of workers that were killed."""


@dataclass
class Worker:
    """A worker process.

    Attributes:
        pid: its process id.
        stderr: what it writes there.
        status: its exit status as ``waitpid`` gives it; None while it lives.
    """

    pid: int
    stderr: StderrPipe
    status: int | None = None


@dataclass
class Wait:
    """A request that waits for workers to end.

    Attributes:
        connection: where the reply goes; None where the caller is gone.
        workers: the workers.
        deadline: the ``time.monotonic()`` at which it is over.
        kills: whether workers that live at the deadline are killed.
        killed: whether they were.
    """

    connection: socket.socket | None
    workers: list[Worker]
    deadline: float
    kills: bool
    killed: bool = False

    def is_over(self) -> bool:
        """Whether it waits no longer; kills the workers at the deadline, and then waits for their end."""
        living = [worker for worker in self.workers if worker.status is None]
        is_late = time.monotonic() >= self.deadline
        if living and is_late and self.kills and not self.killed:
            self.killed = True
            self.deadline += _KILL_TIMEOUT
            for worker in living:
                os.kill(worker.pid, signal.SIGKILL)
            return False
        return is_late or not living

    def ends(self) -> list[tuple[int | None, list[str]]]:
        """The exit status and the last lines of stderr of each worker; nothing where they were to be killed."""
        if self.kills:
            return []
        for worker in self.workers:
            worker.stderr.drain()
        return [(worker.status, worker.stderr.last_lines()) for worker in self.workers]
