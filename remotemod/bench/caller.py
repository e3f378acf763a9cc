"""The process from which one peer is called: it opens the peer, and runs blocks of calls when it is told to.

Each peer has a caller of its own, so that no library's threads take another's time, and one that crashes
takes nobody along.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from remotemod.bench.peers import load
from remotemod.bench.peers.base import Opened, Peer, Way

__all__ = ["Caller", "main"]

_WARM_SECONDS = 0.05
_WARM_CALLS = (3, 200)


class Caller:
    """What the measuring process can ask for; each public method is a request.

    Args:
        peer: the peer that is called.
        stack: ends what is opened.
    """

    def __init__(self, peer: Peer, stack: ExitStack) -> None:
        self._peer = peer
        self._stack = stack
        self._workers: Sequence[str] = ()
        self._opened: Opened | None = None
        self._ways: Mapping[str, Way] = {}
        self._job: tuple[Any, ...] = ()
        self._run: Callable[[], object] = list
        self._kept: list[object] = []

    def open(self, workers: Sequence[str]) -> float:
        """Seconds until new workers have answered."""
        self._workers = workers
        start = time.perf_counter()
        self._opened = self._stack.enter_context(self._peer.open(workers))
        return time.perf_counter() - start

    def reopen(self, workers: Sequence[str]) -> float:
        """The same once more while the first ones are there; these are ended at once."""
        start = time.perf_counter()
        with self._peer.open(workers):
            return time.perf_counter() - start

    def build(self) -> dict[str, list[str]]:
        """Make the ways, and return what each can do."""
        assert self._opened is not None
        self._ways = self._opened.ways()
        abilities = ("call", "submit", "create")
        return {
            name: [a for a in abilities if getattr(way, a) is not None]
            for name, way in self._ways.items()
        }

    def pids(self) -> dict[str, int]:
        """The workers' process ids."""
        assert self._opened is not None
        return dict(self._opened.pids())

    def call_each(self) -> None:
        """One small call to every worker."""
        import torch

        call = next(way.call for way in self._ways.values() if way.call is not None)
        for worker in self._workers:
            call(worker, torch.ones(1))

    def warm(self, way: str, job: str, amount: int) -> float:
        """Run a job until it is warm, and return the seconds that one takes now."""
        run = self._prepare(way, job, amount)
        least, most = _WARM_CALLS
        times: list[float] = []
        while len(times) < least or (sum(times) < _WARM_SECONDS and len(times) < most):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return statistics.median(times[len(times) // 2 :])

    def block(self, way: str, job: str, amount: int, count: int) -> list[float]:
        """The seconds of each of ``count`` jobs, back to back."""
        run, clock = self._prepare(way, job, amount), time.perf_counter
        times = []
        for _ in range(count):
            start = clock()
            run()
            times.append(clock() - start)
        return times

    def forget(self) -> None:
        """Let go of the modules, while their workers are still there."""
        self._ways, self._run = {}, list
        self._kept.clear()

    def _prepare(self, way: str, job: str, amount: int) -> Callable[[], object]:
        if self._job != (way, job, amount):
            self._job = (way, job, amount)
            self._run = getattr(self, f"_{job}")(self._ways[way], amount)
        return self._run

    # --- jobs ---------------------------------------------------------------------------------

    def _call(self, way: Way, size: int) -> Callable[[], object]:
        import torch

        call, worker, x = way.call, self._workers[0], torch.ones(size // 4)
        assert call is not None

        def run() -> None:
            call(worker, x)

        return run

    def _pipeline(self, way: Way, in_flight: int) -> Callable[[], object]:
        import torch

        submit, worker, x = way.submit, self._workers[0], torch.ones(1)
        assert submit is not None

        def run() -> None:
            for wait in [submit(worker, x) for _ in range(in_flight)]:
                wait()

        return run

    def _fan_out(self, way: Way, workers: int) -> Callable[[], object]:
        import torch

        submit, names, x = way.submit, self._workers[:workers], torch.ones(1)
        assert submit is not None

        def run() -> None:
            for wait in [submit(name, x) for name in names]:
                wait()

        return run

    def _create(self, way: Way, modules: int) -> Callable[[], object]:
        create, exists, worker = way.create, way.exists, self._workers[0]
        assert create is not None

        def run() -> None:
            made = [create(worker) for _ in range(modules)]
            if exists is not None:
                for module in made:
                    exists(module)
            self._kept += made

        return run


def main(spec: str, fd: int) -> None:
    """Answer requests until the measuring process closes its end."""
    import torch

    warnings.simplefilter("ignore")
    os.set_inheritable(fd, False)  # or workers that outlive this process would hold it open
    connection = Connection(fd)
    with ExitStack() as stack, torch.no_grad():
        stack.callback(connection.close)
        peer = load(spec)
        try:
            peer.prepare()
        except Exception as error:
            connection.send((False, _why(error)))
            return
        connection.send((True, None))
        caller = Caller(peer, stack.enter_context(ExitStack()))
        while True:
            try:
                name, arguments = connection.recv()
            except EOFError:
                break
            try:
                answer = (True, getattr(caller, name)(*arguments))
            except Exception as error:
                traceback.print_exc()
                answer = (False, _why(error))
            try:
                connection.send(answer)
            except BrokenPipeError:
                break
        caller.forget()


def _why(error: BaseException) -> str:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
