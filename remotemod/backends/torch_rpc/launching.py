"""A group of local workers of torch's RPC, of which the calling process is a member."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import torch.distributed.rpc as rpc

from remotemod.backends.processes.workers import Processes, become_worker
from remotemod.backends.torch_rpc.agent import is_running
from remotemod.backends.torch_rpc.engine import TorchRpcEngine
from remotemod.backends.torch_rpc.futures import rpc_timeout
from remotemod.errors import BackendUnavailable
from remotemod.rpc.cluster import Cluster
from remotemod.rpc.current import set_process_cluster
from remotemod.torch_compat.rpc import meetings, resume_meetings

__all__ = ["CALLER", "Group", "run"]

_START_TIMEOUT = 120.0

CALLER = "caller"
"""The name of the calling process in the group."""


class _Launched(TorchRpcEngine):
    """The engine over workers that this process has started."""

    def __init__(self, group: Group) -> None:
        super().__init__(group.workers, same_main=False, why_lost=group.processes.why_lost)
        self._group = group

    def pid(self, worker: str) -> int:
        """The process id of a worker."""
        return self._group.processes.pid(worker)

    def close(self) -> None:
        """End the workers and this process's agent."""
        self._group.close()


class Group:
    """Worker processes, this process's agent, and the file by which they find each other.

    Args:
        workers: their names.
        timeout: seconds that a call may take by default; None for torch's own 60.
        rpc_threads: threads with which each process answers requests.
    """

    def __init__(self, workers: list[str], timeout: float | None, rpc_threads: int) -> None:
        self.workers = workers
        self.processes = Processes("remotemod.backends.torch_rpc.launching:run")
        self._folder = tempfile.mkdtemp(prefix="remotemod-rpc-")
        self._config: dict[str, Any] = {
            "workers": workers,
            "folder": self._folder,
            "timeout": timeout,
            "rpc_threads": rpc_threads,
            # How often this process has joined groups, which is in the keys by which members find each
            # other: new processes must have the same numbers, or all wait for ever.
            "meetings": meetings(),
        }
        self._primaries: dict[str, socket.socket] = {}
        self._joined = False
        self._pid = os.getpid()

    def start(self, threads: int | None) -> Cluster:
        """Start the workers and join their group.

        Args:
            threads: threads a worker computes with; None for as many as this process.

        Raises:
            BackendUnavailable: a worker does not come up.
            WorkerLost: a worker ended while it started.
        """
        self._primaries = self.processes.start(self.workers, self._config, threads)
        for primary in self._primaries.values():
            primary.settimeout(_START_TIMEOUT)
        # Each reports that it has started before any of them waits for all.
        self._await_report()
        self._joined = True
        _join(CALLER, 0, self._config)
        self._await_report()
        return Cluster(_Launched(self), timeout=self._config["timeout"])

    def _await_report(self) -> None:
        for name, primary in self._primaries.items():
            try:
                report = primary.recv(1)
            except TimeoutError:
                raise BackendUnavailable(
                    f"worker '{name}' did not start within {_START_TIMEOUT:g} s"
                ) from None
            if not report:
                loss = self.processes.why_lost(name)
                assert loss is not None
                raise loss.error(name, when="ended while it started")

    def close(self) -> None:
        """End everything; idempotent."""
        if os.getpid() != self._pid or not self._folder:
            return
        for primary in self._primaries.values():
            primary.settimeout(2.0)
            with contextlib.suppress(OSError):  # a dead one does not answer
                primary.send(b"e")
                primary.recv(1)
        if self._joined and is_running():
            with _without_agent_logs():
                rpc.shutdown(graceful=False)
        for primary in self._primaries.values():
            primary.close()
        self.processes.end()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = ""


def _join(name: str, rank: int, config: dict[str, Any]) -> None:
    timeout = config["timeout"]
    options: dict[str, Any] = {} if timeout is None else {"rpc_timeout": rpc_timeout(timeout)}
    options["init_method"] = f"file://{config['folder']}/store"
    options["num_worker_threads"] = config["rpc_threads"]
    with _on_loopback(), warnings.catch_warnings():
        # torch warns of its own use of process groups here
        warnings.simplefilter("ignore")
        init_rpc: Any = rpc.init_rpc  # untyped in torch
        init_rpc(
            name,
            rank=rank,
            world_size=len(config["workers"]) + 1,
            rpc_backend_options=rpc.TensorPipeRpcBackendOptions(**options),
        )


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Have a local group listen on the loopback alone."""
    device = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    variables = [v for v in ("TP_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME") if v not in os.environ]
    if device is not None:
        os.environ.update(dict.fromkeys(variables, device))
    try:
        yield
    finally:
        for variable in variables:
            os.environ.pop(variable, None)


@contextlib.contextmanager
def _without_agent_logs() -> Iterator[None]:
    """Drop the lines on stderr that torch's agent writes of each connection that ends, and no others.

    A graceful end would write none, and wait for calls that are no longer needed.
    """
    with tempfile.TemporaryFile() as written:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            written.seek(0)
            lines = [line for line in written if b"tensorpipe_agent.cpp" not in line]
            os.write(2, b"".join(lines))


# --- on a worker ------------------------------------------------------------------------------


def run(config: dict[str, Any], primary: socket.socket) -> None:
    """Serve until the caller ends the group, closes its connection or dies."""
    become_worker(config)
    workers = config["workers"]
    resume_meetings(config["meetings"])
    primary.send(b"s")
    _join(config["name"], workers.index(config["name"]) + 1, config)
    engine = TorchRpcEngine(workers, same_main=False)
    set_process_cluster(Cluster(engine, timeout=config["timeout"]))
    primary.send(b"j")
    was_ended = primary.recv(1)
    # From here on other members end too, and torch reports each on stderr.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if was_ended:
        with contextlib.suppress(OSError):
            primary.send(b"e")
            primary.recv(1)
    else:
        shutil.rmtree(config["folder"], ignore_errors=True)
    os._exit(0)
