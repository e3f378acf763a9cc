"""A backend over pipes: each worker is a process of multiprocessing, with a pipe to every caller it can have."""

from __future__ import annotations

import itertools
import multiprocessing
import struct
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

import torch

from remotemod import WorkerLost
from remotemod.backends.base import Cluster, Future, Message, MessageEngine, Transport, WorkerServer

__all__ = ["launch"]

CALLER = "caller"
NUMBER = struct.Struct("<Q")


class Pipes(Transport):
    """One pipe to each worker."""

    workers: Sequence[str] = ()

    def __init__(self, pipes: dict[str, Connection]) -> None:
        self.workers = tuple(pipes)
        self.processes: list[multiprocessing.process.BaseProcess] = []
        self._pipes = pipes
        self._sending = {worker: threading.Lock() for worker in pipes}
        self._numbers = itertools.count(1)
        self._waiting: dict[str, dict[int, Future[Message]]] = {worker: {} for worker in pipes}
        for worker in pipes:
            threading.Thread(target=self._receive, args=(worker,), daemon=True).start()

    def request(self, worker: str, message: Message, timeout: float | None) -> Future[Message]:
        number, reply = next(self._numbers), Future[Message](f"a reply of '{worker}'")
        self._waiting[worker][number] = reply
        try:
            self._send(worker, number, message)
        except OSError:
            reply.set_exception(lost(worker))
        return reply

    def notify(self, worker: str, message: Message) -> None:
        self._send(worker, 0, message)

    def close(self) -> None:
        for pipe in self._pipes.values():
            pipe.close()
        for process in self.processes:
            process.kill()
            process.join()

    def _send(self, worker: str, number: int, message: Message) -> None:
        with self._sending[worker]:
            self._pipes[worker].send_bytes(NUMBER.pack(number) + message.to_bytes())

    def _receive(self, worker: str) -> None:
        waiting = self._waiting[worker]
        try:
            while True:
                data = self._pipes[worker].recv_bytes()
                reply = Message.from_bytes(data[NUMBER.size :])
                waiting.pop(*NUMBER.unpack_from(data)).set_result(reply)
        except (EOFError, OSError, TypeError):  # TypeError: closed here, while it was being read
            while waiting:
                waiting.popitem()[1].set_exception(lost(worker))


def lost(worker: str) -> WorkerLost:
    return WorkerLost(f"worker '{worker}' is gone: its pipe has ended", worker)


def serve(server: WorkerServer, caller: str, pipe: Connection) -> None:
    """Answers one caller until it is gone."""
    session = server.session(caller)
    try:
        while True:
            data = pipe.recv_bytes()
            (number,) = NUMBER.unpack_from(data)
            reply = session.handle(Message.from_bytes(data[NUMBER.size :]))
            if number:
                pipe.send_bytes(NUMBER.pack(number) + reply.to_bytes())
    except (EOFError, OSError):
        server.end_session(caller)


def work(
    name: str, callers: dict[str, Connection], others: dict[str, Connection], threads: int
) -> None:
    """A worker's process: it ends when the pipe to the process that launched it does."""
    torch.set_num_threads(threads)
    server = WorkerServer(name, Pipes(others), backend="pipes")
    starter = callers.pop(CALLER)
    for caller, pipe in callers.items():
        threading.Thread(target=serve, args=(server, caller, pipe), daemon=True).start()
    serve(server, CALLER, starter)


def launch(workers: Sequence[str], *, timeout: float | None = 300.0) -> Cluster:
    """Starts worker processes on this machine."""
    context = multiprocessing.get_context("spawn")
    pipes = {(c, w): context.Pipe() for w in workers for c in [CALLER, *workers]}
    processes = []
    for name in workers:
        callers = {c: pipes[c, name][1] for c in [CALLER, *workers]}
        others = {w: pipes[name, w][0] for w in workers}
        args = (name, callers, others, torch.get_num_threads())
        processes.append(context.Process(target=work, args=args, daemon=True))
        processes[-1].start()
    for (caller, _), (callers_end, workers_end) in pipes.items():
        workers_end.close()
        if caller != CALLER:
            callers_end.close()
    transport = Pipes({worker: pipes[CALLER, worker][0] for worker in workers})
    transport.processes = processes
    return Cluster(MessageEngine(transport, name="pipes"), timeout=timeout)
